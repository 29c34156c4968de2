"""pydantic's errors in the words of the person who wrote the file."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from labctl.config.document import Document, Place
from labctl.config.fields import Strict
from labctl.config.problems import Problem, did_you_mean, quote

Models = Mapping[int, type[Strict]]
"""Which model each mapping of the document was read as, by the mapping's identity."""

_UNKNOWN = "extra_forbidden"


def problems_of(error: ValidationError, document: Document, models: Models) -> list[Problem]:
    """Each of pydantic's errors as a problem at its place in the file."""
    return [
        _problem(details, document, models)
        for details in error.errors(include_url=False, include_context=True)
    ]


def without_unknown_keys(error: ValidationError, document: Document) -> dict[str, Any] | None:
    """The data without the keys that no model knows, to see what else is wrong; None if none."""
    unknown = [
        _place(details["loc"], document)
        for details in error.errors(include_url=False)
        if details["type"] == _UNKNOWN
    ]
    if not unknown:
        return None
    data = copy.deepcopy(document.data)
    for place in unknown:
        parent = _at(data, place[:-1])
        parent.pop(place[-1], None)
    return data


def _at(data: Any, place: Sequence[str | int]) -> Any:
    for key in place:
        data = data[key]
    return data


def _place(loc: tuple[str | int, ...], document: Document) -> Place:
    """Where in the document `loc` is. Steps that are not in the file (tags of unions) are skipped.

    The last step is kept even when it is not written: it is a key that is missing.
    """
    place: list[str | int] = []
    here: Any = document.data
    for step in loc:
        steps = here if isinstance(here, dict) else range(len(here) if type(here) is list else 0)
        if step in steps:
            here = here[step]
            place.append(step)
    return tuple(place)


def _problem(details: ErrorDetails, document: Document, models: Models) -> Problem:
    kind, loc = details["type"], details["loc"]
    place = _place(loc, document)
    if kind == _UNKNOWN:
        key = str(place[-1])
        parent = _at(document.data, place[:-1])
        model = models.get(id(parent))
        known = [name for name in model.model_fields if name not in parent] if model else []
        mend = did_you_mean(key, known)
        return document.problem(place, f"unknown key {quote(key)}", mend, of_key=True)
    if kind == "missing":
        return document.problem(place, f"the key {str(loc[-1])!r} is missing", _about(loc, place))
    if loc and loc[-1] == "[key]":
        return document.problem(place, *_words(details), of_key=True)
    if kind == "meter_kind":
        return _meter_kind(details, document, place)
    if details["input"] is None:
        mend = "write a value, or remove the key"
        return document.problem(place, _nothing_after(place), mend, of_key=True)
    return document.problem(place, *_words(details))


def _about(loc: tuple[str | int, ...], place: Place) -> str:
    names = [str(step) for step in place if isinstance(step, str)]
    return f"add it under {names[-1]!r}" if names else "add it at the top level"


def _nothing_after(place: Place) -> str:
    keys = [step for step in place if isinstance(step, str)]
    if place and isinstance(place[-1], int):
        return "an entry of the list is empty"
    return f"nothing is written after {keys[-1]!r}" if keys else "nothing is written here"


def _meter_kind(details: ErrorDetails, document: Document, place: Place) -> Problem:
    meter = details["input"]
    if not isinstance(meter, dict):
        return document.problem(place, "a mapping is needed here", _MAPPING_MEND)
    kinds = ("electricity", "gas")
    if "kind" not in meter:
        mend = "write 'kind: electricity' or 'kind: gas'"
        return document.problem(place, "the key 'kind' is missing", mend)
    kind = meter["kind"]
    mend = did_you_mean(kind if isinstance(kind, str) else "", kinds)
    return document.problem((*place, "kind"), f"{quote(kind)} is not a kind of meter", mend)


_MAPPING_MEND = "write its keys below it, indented"


def _words(details: ErrorDetails) -> tuple[str, str]:
    """What happened, and what to do."""
    kind, context = details["type"], details.get("ctx", {})
    if kind == "labctl":
        return str(context["what"]), str(context["mend"])
    if kind in {"model_type", "dict_type", "model_attributes_type"}:
        return "a mapping is needed here", _MAPPING_MEND
    if kind in {"list_type", "tuple_type"}:
        return "a list is needed here", "write [a, b], or one entry to a line after '- '"
    if kind == "string_type":
        return "a text is needed here", "put it in quotes"
    if kind == "bool_type":
        return f"{quote(details['input'])} is not possible here", "write true or false"
    if kind == "string_too_short":
        return "nothing is written here", ""
    if kind == "string_too_long":
        return f"the text is longer than {context['max_length']} characters", ""
    if kind == "too_short":
        return "at least one entry is needed here", ""
    if kind == "too_long":
        return f"at most {context['max_length']} entries are possible here", ""
    if kind == "secret_source":
        return (
            "this is neither a value nor one reference to it",
            "write the value in quotes, or {env: NAME}, or {file: path}",
        )
    if kind == "secret_reference":
        return "this is only taken by reference", "write {file: path} or {env: NAME}"
    return str(details["msg"]), ""
