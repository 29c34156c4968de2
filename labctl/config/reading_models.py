"""A file as a model, with every problem in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from labctl.config.document import Document, read_document
from labctl.config.fields import Strict
from labctl.config.problems import ConfigurationErrors, Problem
from labctl.config.translation import problems_of, without_unknown_keys

Model = TypeVar("Model", bound=Strict)


def read_model(
    path: Path, model: type[Model], *, what: str
) -> tuple[Model | None, Document | None, list[Problem]]:
    """A file as a model, as far as that goes, with all that is wrong with it."""
    try:
        document = read_document(path, what=what)
    except ConfigurationErrors as errors:
        return None, None, list(errors.problems)
    problems = list(document.problems)
    data: dict[str, Any] | None = document.data
    while data is not None:
        models: dict[int, type[Strict]] = {}
        try:
            return model.model_validate(data, context=models), document, problems
        except ValidationError as error:
            if data is document.data:
                reported = {(problem.line, problem.column) for problem in problems}
                problems += [
                    problem
                    for problem in problems_of(error, document, models)
                    if (problem.line, problem.column) not in reported
                ]
                data = without_unknown_keys(error, document)
            else:
                data = None
    return None, document, problems
