"""A campaign without a pytest command line: `labctl campaign run`."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from labctl.campaign import plugin
from labctl.campaign.case import Case, case_of
from labctl.campaign.catalogue import CASES, built_in
from labctl.campaign.script import Script
from labctl.campaign.stage import StageOptions
from labctl.config.problems import did_you_mean
from labctl.config.resolved import LoadedRig
from labctl.errors import ConfigurationError, ExitCode, LabctlError, UsageError
from labctl.record.verdict import Assessment, exit_code_of

_ENTRY_POINT = "labctl"
"""The plugin's name in pyproject.toml."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignResult:
    """What came of a campaign. `trouble` is why the rig was out, if it was."""

    run_id: int | None
    seed: int | None
    assessment: Assessment | None
    trouble: LabctlError | None
    interrupted: bool

    @property
    def exit_code(self) -> ExitCode:
        """The process's exit code."""
        if self.interrupted:
            return ExitCode.INTERRUPTED
        if self.trouble is not None:
            return self.trouble.exit_code
        if self.assessment is None:
            return ExitCode.RIG_UNAVAILABLE
        return exit_code_of(self.assessment.verdict)


def run_campaign(
    loaded: LoadedRig,
    options: StageOptions,
    *,
    cases: Sequence[str] = (),
    devices: Sequence[str] = (),
    also: Sequence[Path] = (),
    progress: Callable[[Told], None],
) -> CampaignResult:
    """Play the cases whose names match one of `cases` (all, when there are none) on the rig.

    `devices` are names of the rig's devices under test; none: all. `also` are files and folders
    with a lab's own cases. `progress` is told what each case came to. Raises `ConfigurationError`
    and `UsageError` for names that nobody knows, and for cases that cannot be read.
    """
    _devices_known(loaded, devices)
    script = Script(loaded, options, devices=devices)
    control = _Control(script, tuple(cases), progress)
    arguments = [
        str(CASES),
        *(str(path.resolve()) for path in also),
        *("-c", os.devnull, "--rootdir", str(CASES), "--import-mode=importlib"),
        *(
            "-p",
            "no:cacheprovider",
            "-p",
            "no:xdist",
            "-p",
            "no:terminal",
            "-p",
            "no:timeout",
            "-s",
        ),
        # By this name however labctl was installed, and not a second time by its entry point.
        *("-p", f"no:{_ENTRY_POINT}", "-p", plugin.__name__),
    ]
    # Standard output is for the result: what cases and pytest print goes where messages go.
    with contextlib.redirect_stdout(sys.stderr):
        code = pytest.main(arguments, plugins=[control])
    if control.refused is not None:
        raise control.refused
    if code == pytest.ExitCode.USAGE_ERROR:
        raise UsageError("pytest would not begin, as it says above")
    return CampaignResult(
        run_id=script.run_id,
        seed=script.seed,
        assessment=script.stage.assessment,
        trouble=script.stage.broken,
        interrupted=code == pytest.ExitCode.INTERRUPTED,
    )


def _devices_known(loaded: LoadedRig, names: Sequence[str]) -> None:
    known = [device.name for device in loaded.devices]
    for name in names:
        if name not in known:
            raise UsageError(
                f"the rig {loaded.name} has no device under test called {name!r}",
                mend=did_you_mean(name, known) or f"it has {', '.join(known) or 'none'}",
            )


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of a case as it ends: its number of all, and what it came to."""

    number: int
    of: int
    case: str
    title: str
    device: str
    outcome: str
    cause: str
    attempts: int


class _Control:
    """What labctl has to say to pytest: which cases, and whom to tell."""

    def __init__(
        self, script: Script, patterns: tuple[str, ...], progress: Callable[[Told], None]
    ) -> None:
        self._script = script
        self._patterns = patterns
        self._progress = progress
        self._number = 0
        self._of = 0
        self.refused: LabctlError | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        config.stash[plugin.SCRIPT] = self._script

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and self.refused is None:
            lines = str(report.longrepr).strip().splitlines()
            self.refused = ConfigurationError(
                f"the cases cannot be read: {lines[-1] if lines else 'unknown'}",
                where=report.nodeid,
                mend="`pytest --collect-only` on that file shows more",
            )

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        found = {
            item: case_of(item.function) for item in items if isinstance(item, pytest.Function)
        }
        try:
            self._check(found.values())
        except LabctlError as error:
            self.refused = self.refused or error
        if self.refused is not None:
            items.clear()
            return
        items[:] = [item for item in items if item in found and self._is_wanted(found[item])]
        self._of = len(items)

    def _is_wanted(self, case: Case) -> bool:
        return not self._patterns or any(
            fnmatch.fnmatchcase(case.name, pattern) for pattern in self._patterns
        )

    def _check(self, cases: object) -> None:
        known = {case.name: case for case in cases}  # type: ignore[attr-defined]
        known |= {each.case.name: each.case for each in built_in()}
        for pattern in self._patterns:
            if not fnmatch.filter(known, pattern):
                raise UsageError(
                    f"no case is called {pattern!r}",
                    mend=did_you_mean(pattern, list(known)) or "`labctl campaign list` lists them",
                )
        self._script.check_names(known)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        told = dict(report.user_properties)
        if report.when == "teardown" or "labctl_outcome" not in told:
            return
        self._number += 1
        self._progress(
            Told(
                number=self._number,
                of=self._of,
                case=str(told["labctl_case"]),
                title=str(told["labctl_title"]),
                device=str(told["labctl_device"]),
                outcome=str(told["labctl_outcome"]),
                cause=str(told["labctl_cause"]),
                attempts=int(str(told["labctl_attempts"])),
            )
        )
