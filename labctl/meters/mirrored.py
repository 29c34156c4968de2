"""A gas meter as its own reports tell of it: what the proxy has of a meter that really is there."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace

from labctl.meters.civil import HALF_HOUR_S
from labctl.meters.gas import GasMeter, GasProxy
from labctl.meters.profile import Flow, Profile

_US = 1_000_000
_ML_SECONDS_PER_LITRE = 1000 * 3600


class ReportedProfile(Profile):
    """What flowed between reports of a register, spread evenly. Reports are of whole seconds.

    It starts with the half-hour of the first report (`origin_s`, UTC seconds); what was before is
    not known. After the last report nothing flows, until the next one says otherwise.
    """

    def __init__(self, at_us: int, litres: int) -> None:
        at_us = _whole(at_us)
        self.origin_s = at_us // _US // HALF_HOUR_S * HALF_HOUR_S
        self.known_from_s = self.origin_s
        self._times = [self.origin_s * _US, at_us]
        self._litres = [litres, litres]

    def report(self, at_us: int, litres: int) -> None:
        """Take a report. The register never falls: a smaller number is taken as no consumption."""
        at_us = _whole(at_us)
        if at_us > self._times[-1]:
            self._times.append(at_us)
            self._litres.append(max(litres, self._litres[-1]))

    def report_before(self, utc_us: int) -> int:
        """The time of the last report up to an instant; the first report's if it is earlier."""
        return self._times[max(1, bisect_right(self._times, utc_us) - 1)]

    def at(self, utc_us: int) -> Flow:
        """The amount since the origin, in ml/h x s; before it the register stands still."""
        first = self._litres[0]
        index = bisect_right(self._times, utc_us) - 1
        if index < 0:
            return Flow(0, 0)
        amount = (self._litres[index] - first) * _ML_SECONDS_PER_LITRE
        if index + 1 == len(self._times):
            return Flow(amount, 0)
        span_us = self._times[index + 1] - self._times[index]
        flowed = (self._litres[index + 1] - self._litres[index]) * _ML_SECONDS_PER_LITRE
        into_us = utc_us - self._times[index]
        return Flow(amount + flowed * into_us // span_us, flowed * _US // span_us)


class MirroredGas(GasProxy):
    """The proxy of a gas meter that reports: everything as of its last report.

    Tariff, journal and account are those of `model`, which stands in until a meter reports.
    """

    def __init__(self, model: GasProxy, at_us: int, litres: int) -> None:
        self._reported = ReportedProfile(at_us, litres)
        meter = model.meter
        super().__init__(
            GasMeter(
                replace(meter.settings, profile=self._reported),
                start_litres=litres,
                calorific_value=meter.calorific_value,
                conversion_factor=meter.conversion_factor,
            )
        )

    def report(self, at_us: int, litres: int) -> None:
        """The register stands at `litres` at `at_us` (UTC microseconds)."""
        self._reported.report(at_us, litres)

    def last_wake_s(self, utc_s: int) -> int:
        """When the meter last reported, at `utc_s`."""
        return self._reported.report_before(utc_s * _US) // _US


def _whole(at_us: int) -> int:
    """The next whole second."""
    return -(-at_us // _US) * _US
