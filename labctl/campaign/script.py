"""A campaign as pytest plays it: what was asked for, what is played next, how it is told."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from labctl.campaign.applies import why_not
from labctl.campaign.case import Case, Needs, case_of
from labctl.campaign.measurements import Measurements
from labctl.campaign.observation import Observation, observe
from labctl.campaign.play import Player
from labctl.campaign.stage import Stage, StageOptions
from labctl.campaign.subject import Subject
from labctl.campaign.watch import Watch
from labctl.clock import MICROSECONDS
from labctl.config.durations import parse_duration
from labctl.config.problems import did_you_mean
from labctl.config.resolved import DeviceUnderTest, LoadedRig
from labctl.errors import ConfigurationError, LabctlError
from labctl.events import Band, CaseEnded, CaseOutcome
from labctl.record.verdict import exit_code_of

_TRY_AGAIN = (CaseOutcome.FAIL, CaseOutcome.INFRASTRUCTURE_ERROR)


class InfrastructureTrouble(Exception):
    """The rig's trouble: pytest is to call it an error, and not a failure."""

    is_infrastructure = True


class Script:
    """A campaign. `loaded` is its rig, `options` say how it is opened.

    `devices` are the names of those that cases are played on; none: all devices under test.
    """

    def __init__(
        self, loaded: LoadedRig, options: StageOptions, *, devices: Sequence[str] = ()
    ) -> None:
        self.loaded = loaded
        self.devices = tuple(
            device for device in loaded.devices if not devices or device.name in devices
        )
        self.stage = Stage(loaded, options)
        limits = {
            case: {name: limit.model_dump() for name, limit in own.items()}
            for case, own in loaded.rig.campaign.limits.items()
        }
        self.player = Player(self.stage, limits)
        self.trouble: str | None = None
        """Why the rig is out, said once."""
        self.run_id: int | None = None
        """The campaign's run in the database, once the rig was open."""
        self.seed: int | None = None
        """The seed of a virtual rig, once it was open."""
        self._observation: Observation | None = None

    def check_names(self, known: Mapping[str, Case]) -> None:
        """Raise `ConfigurationError` for a case or measurement of the rig file that is not."""
        settings = self.loaded.rig.campaign
        named = {
            "limits": list(settings.limits),
            "leave_out": list(settings.leave_out),
            "quarantine": [entry.case for entry in settings.quarantine],
        }
        for key, names in named.items():
            for name in names:
                if name not in known:
                    what = f"no case is called {name!r}"
                    raise self._unknown(f"campaign.{key}", what, name, known)
        for name, limits in settings.limits.items():
            measures = [measure.name for measure in known[name].measures]
            for measure in limits:
                if measure not in measures:
                    raise self._unknown(
                        f"campaign.limits.{name}",
                        f"{name} does not measure {measure!r}",
                        measure,
                        measures,
                    )
        names = [device.name for device in self.loaded.devices]
        entries = [("quarantine", entry.device) for entry in settings.quarantine]
        for key, device in [*entries, ("reference", settings.reference)]:
            if device is not None and device not in names:
                raise self._unknown(
                    f"campaign.{key}", f"the rig has no device {device!r}", device, names
                )

    def _unknown(
        self, where: str, what: str, word: str, known: Iterable[str]
    ) -> ConfigurationError:
        known = list(known)
        return ConfigurationError(
            what,
            where=f"{self.loaded.path}: {where}",
            mend=did_you_mean(word, known) or f"there are {', '.join(known) or 'none'}",
        )

    # -- one test -----------------------------------------------------------------------------

    def play(self, item: pytest.Function, arguments: Mapping[str, Any]) -> None:
        """Play the case that a test is. What pytest is to say of it is raised."""
        case = _with_markers(case_of(item.obj), item)
        device = arguments.get("device") or arguments.get("power")
        self._must_be_open(item, case, device)
        reason = why_not(case, self.loaded, device)
        if reason is not None:
            self.player.not_tried(case, device, CaseOutcome.NOT_APPLICABLE, reason)
            _tell(item, case, device, CaseOutcome.NOT_APPLICABLE, reason)
            pytest.skip(f"not applicable: {reason}")
        ended = self._attempts(item, case, device, arguments)
        _tell(item, case, device, ended.outcome, ended.cause, ended.attempt)
        _raise(ended)

    def _must_be_open(
        self, item: pytest.Function, case: Case, device: DeviceUnderTest | None
    ) -> None:
        """The rig's trouble is an error once; what comes after it is skipped, for the same."""
        if self.trouble is not None:
            cause = f"the rig is out: {self.trouble}"
            if self.stage.is_open:
                self.player.not_tried(case, device, CaseOutcome.SKIPPED, cause)
            _tell(item, case, device, CaseOutcome.SKIPPED, cause)
            pytest.skip(cause)
        try:
            session = self.stage.session
        except LabctlError as error:
            self.trouble = error.what
            _tell(item, case, device, CaseOutcome.INFRASTRUCTURE_ERROR, error.what)
            raise InfrastructureTrouble(str(error)) from None
        self.run_id, self.seed = session.run_id, session.seed

    def _attempts(
        self,
        item: pytest.Function,
        case: Case,
        device: DeviceUnderTest | None,
        arguments: Mapping[str, Any],
    ) -> CaseEnded:
        quarantine = self._quarantine(case, device)
        before: list[CaseOutcome] = []
        for attempt in range(1, self.loaded.rig.campaign.attempts + 1):
            ended = self.player.play(
                case,
                device,
                self._function(item, arguments),
                attempt,
                quarantine,
                tuple(before),
                prepare=partial(self._observe, item) if "observation" in arguments else None,
            )
            before.append(ended.outcome)
            if self.stage.broken is not None:
                self.trouble = self.stage.broken.what
                break
            if ended.outcome not in _TRY_AGAIN:
                break
        return ended

    def _function(
        self, item: pytest.Function, arguments: Mapping[str, Any]
    ) -> Callable[[Subject | None, Measurements, Watch], Awaitable[None]]:
        """The test function, called with what belongs to the attempt."""

        async def call(subject: Subject | None, measure: Measurements, watch: Watch) -> None:
            ours: dict[str, Callable[[], Any]] = {
                "rig": lambda: self.stage,
                "hub": lambda: self.stage.session.hub,
                "device": lambda: subject,
                "power": lambda: None if subject is None else subject.hands,
                "measure": lambda: measure,
                "watch": lambda: watch,
                "observation": lambda: self._observation,
            }
            given = {
                name: ours[name]() if name in ours else value for name, value in arguments.items()
            }
            result = item.obj(**given)
            if inspect.isawaitable(result):
                await result

        return call

    async def _observe(self, item: pytest.Function, watch: Watch) -> None:
        """One time of watching serves all cases that ask for one as long, or shorter."""
        marker = item.get_closest_marker("reads_for")
        wanted_s = self.loaded.rig.campaign.observe.total_seconds()
        if marker is not None:
            wanted_s = min(wanted_s, parse_duration(str(marker.args[0])).total_seconds())
        if self._observation is None or self._observation.seconds < wanted_s:
            self._observation = await observe(self.stage, wanted_s)
        watch.began_us = self._observation.started_us

    def _quarantine(self, case: Case, device: DeviceUnderTest | None) -> str:
        today = datetime.fromtimestamp(
            self.stage.session.clock.now_us() / MICROSECONDS, tz=UTC
        ).date()
        for entry in self.loaded.rig.campaign.quarantine:
            if (
                entry.case == case.name
                and entry.device in (None, device.name if device else None)
                and today <= entry.until
            ):
                why = f": {entry.reason}" if entry.reason else ""
                return f"{entry.owner}, until {entry.until}{why}"
        return ""

    # -- the end ------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the rig."""
        try:
            self.stage.close()
        except LabctlError as error:
            self.trouble = error.what

    @property
    def exit_code(self) -> int:
        """What the process is to end with; 0 when the rig was not needed."""
        if self.stage.broken is not None:
            return int(self.stage.broken.exit_code)
        assessment = self.stage.assessment
        return 0 if assessment is None else int(exit_code_of(assessment.verdict))

    def summarise(self, write: Callable[[str], None]) -> None:
        """Say what the campaign came to."""
        if self.trouble is not None:
            write(f"the rig is out: {self.trouble}")
        assessment = self.stage.assessment
        if assessment is None:
            return
        write(f"{self.loaded.name}: {assessment.verdict.value} ({assessment.certainty.value})")
        for reason in assessment.reasons[:20]:
            write(f"  {reason}")


def script_of(config: pytest.Config) -> Script:
    """The campaign that pytest's options ask for. Raises `ConfigurationError`, `UsageError`."""
    from labctl.config.loading import load_rig
    from labctl.config.paths import chosen_inventory, find_rig, locate_database

    given = config.getoption("--labctl-inventory")
    chosen = chosen_inventory(Path(given) if given else None)
    loaded = load_rig(find_rig(config.getoption("--rig"), chosen), chosen)
    database = config.getoption("--labctl-db")
    return Script(
        loaded,
        StageOptions(
            database=locate_database(
                Path(database) if database else None, loaded.inventory_path
            ).path,
            seed=config.getoption("--labctl-seed"),
            fresh=config.getoption("--labctl-fresh"),
            note=config.getoption("--labctl-note"),
            selection=config.getoption("keyword") or "",
        ),
    )


def _with_markers(case: Case, item: pytest.Function) -> Case:
    """The plugin's markers say the same as the decorator's arguments."""
    band = item.get_closest_marker("needs_band")
    power = item.get_closest_marker("needs_power")
    if band is None and power is None:
        return case
    import dataclasses

    needs: Needs = dataclasses.replace(
        case.needs,
        band=Band(band.args[0]) if band is not None else case.needs.band,
        power=power is not None or case.needs.power,
    )
    return dataclasses.replace(case, needs=needs)


def _tell(
    item: pytest.Function,
    case: Case,
    device: DeviceUnderTest | None,
    outcome: CaseOutcome,
    cause: str,
    attempts: int = 1,
) -> None:
    """Leave with the test what JUnit files and progress say of it."""
    item.user_properties += [
        ("labctl_case", case.name),
        ("labctl_title", case.title),
        ("labctl_device", device.name if device else ""),
        ("labctl_outcome", outcome.value),
        ("labctl_cause", cause),
        ("labctl_attempts", attempts),
    ]


def _raise(ended: CaseEnded) -> None:
    """What pytest is to make of it."""
    if ended.outcome in (CaseOutcome.PASS, CaseOutcome.MARGINAL):
        return
    if ended.quarantine:
        pytest.xfail(f"in quarantine ({ended.quarantine}): {ended.cause}")
    if ended.outcome is CaseOutcome.FAIL:
        pytest.fail(ended.cause, pytrace=False)
    if ended.outcome is CaseOutcome.INFRASTRUCTURE_ERROR:
        raise InfrastructureTrouble(ended.cause)
    pytest.skip(f"{ended.outcome.value}: {ended.cause}")
