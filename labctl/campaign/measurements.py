"""What a case measures, held against the limits that were there before."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from labctl.campaign.case import Measure
from labctl.events import CaseOutcome, Measured


class Measurements:
    """Takes the measurements of one attempt.

    `limits` are the rig's own, by name: what is None in them stays as it was declared.
    """

    def __init__(
        self, declared: Sequence[Measure], limits: Mapping[str, Mapping[str, float | None]]
    ) -> None:
        self._declared = {
            measure.name: _with(measure, limits.get(measure.name, {})) for measure in declared
        }
        self._own = limits
        self._taken: dict[str, tuple[float, str]] = {}

    def __getitem__(self, name: str) -> Measure:
        """A measurement as it is declared, with the limits that hold. Raises `KeyError`."""
        return self._declared[name]

    def expect(
        self,
        name: str,
        *,
        least: float | None = None,
        most: float | None = None,
        good_from: float | None = None,
        good_to: float | None = None,
    ) -> None:
        """Limits that follow from what the rig file says of the device, in place of the declared.

        It is said before the measurement is taken; `limits` of the rig file still come first.
        Raises `RuntimeError` when it was taken already, `KeyError` for one that was not declared.
        """
        if name in self._taken:
            raise RuntimeError(f"{name!r} was measured before it was said what is right")
        expected = dataclasses.replace(
            self._declared[name], least=least, most=most, good_from=good_from, good_to=good_to
        )
        self._declared[name] = _with(expected, self._own.get(name, {}))

    def take(self, name: str, value: float, text: str = "") -> None:
        """Note a measurement; a second one of the same name replaces the first.

        `text` is how a person would say it. Raises `KeyError` for one that was not declared.
        """
        if name not in self._declared:
            raise KeyError(f"the case did not declare that it measures {name!r}")
        self._taken[name] = (float(value), text)

    def __call__(self, **values: float) -> None:
        """Take several by name."""
        for name, value in values.items():
            self.take(name, value)

    @property
    def results(self) -> tuple[Measured, ...]:
        """All that were declared, in that order, taken or not."""
        return tuple(self._result(measure) for measure in self._declared.values())

    def _result(self, measure: Measure) -> Measured:
        value, text = self._taken.get(measure.name, (None, ""))
        if value is not None:
            outcome = _judge(measure, value)
        else:
            outcome = CaseOutcome.NOT_APPLICABLE if measure.optional else CaseOutcome.INCOMPLETE
        return Measured(
            name=measure.name,
            unit=measure.unit,
            value=value,
            text=text,
            least=measure.least,
            most=measure.most,
            good_from=measure.good_from,
            good_to=measure.good_to,
            outcome=outcome,
        )


def in_words(measured: Measured) -> str:
    """A measurement and its limit: "join_s 1310 s, at most 1200 s"."""
    unit = f" {measured.unit}" if measured.unit else ""
    said = measured.text or ("not measured" if measured.value is None else _plain(measured.value))
    said += "" if measured.text or measured.value is None else unit
    least, most = measured.least, measured.most
    if measured.outcome is CaseOutcome.MARGINAL:
        least = measured.good_from if measured.good_from is not None else least
        most = measured.good_to if measured.good_to is not None else most
    if least is not None and least == most:
        limit = f"{_plain(least)}{unit} is right"
    elif least is not None and most is not None:
        limit = f"{_plain(least)} to {_plain(most)}{unit} is right"
    elif least is not None:
        limit = f"at least {_plain(least)}{unit}"
    elif most is not None:
        limit = f"at most {_plain(most)}{unit}"
    else:
        limit = ""
    return f"{measured.name} {said}" + (f", {limit}" if limit else "")


def _plain(value: float) -> str:
    return f"{value:.6g}"


def _judge(measure: Measure, value: float) -> CaseOutcome:
    if value != value:
        return CaseOutcome.INCOMPLETE
    if (measure.least is not None and value < measure.least) or (
        measure.most is not None and value > measure.most
    ):
        return CaseOutcome.FAIL
    if (measure.good_from is not None and value < measure.good_from) or (
        measure.good_to is not None and value > measure.good_to
    ):
        return CaseOutcome.MARGINAL
    return CaseOutcome.PASS


def _with(measure: Measure, limits: Mapping[str, float | None]) -> Measure:
    own = {key: value for key, value in limits.items() if value is not None}
    return dataclasses.replace(measure, **own)  # type: ignore[arg-type]  # limits by name
