"""The pytest plugin: cases are tests, and a rig is what they are played on.

    pytest --rig rigs/virtual.yaml --labctl-db labctl.db my_cases/

A test that takes `device` is played once for each device under test of the rig. `async def` tests
run on the rig's clock. Without `--rig` such tests are skipped, and nothing else changes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from labctl.campaign.case import case_of

if TYPE_CHECKING:
    from labctl.campaign.script import Script

SCRIPT = pytest.StashKey["Script"]()
_OURS = frozenset({"rig", "hub", "device", "measure", "watch", "power", "observation"})


def pytest_addoption(parser: pytest.Parser) -> None:
    """The plugin's options."""
    group = parser.getgroup("labctl", "a rig of labctl")
    group.addoption("--rig", metavar="RIG", help="the rig that cases are played on")
    group.addoption("--labctl-db", metavar="FILE", help="the database to record in")
    group.addoption("--labctl-inventory", metavar="FILE", help="the inventory of the rig")
    group.addoption("--labctl-seed", metavar="N", type=int, help="virtual rigs: another seed")
    group.addoption(
        "--labctl-fresh", action="store_true", help="virtual rigs: forget all memories first"
    )
    group.addoption("--labctl-note", metavar="TEXT", default="", help="a remark on the run")


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers; with `--rig`, load the rig."""
    for marker in (
        "needs_band(band): the hub and the device must have this band, '2.4 GHz' or '868 MHz'",
        "needs_power: the device's power can be switched without a person",
        "reads_for(duration): looks at what devices read for so long, '24h'",
    ):
        config.addinivalue_line("markers", marker)
    if config.getoption("--rig") and SCRIPT not in config.stash:
        from labctl.campaign.script import script_of
        from labctl.errors import LabctlError

        try:
            config.stash[SCRIPT] = script_of(config)
        except LabctlError as error:
            raise pytest.UsageError(str(error)) from None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each device under test."""
    script = metafunc.config.stash.get(SCRIPT, None)
    if script is not None and "device" in metafunc.fixturenames:
        devices = script.devices
        metafunc.parametrize("device", devices, ids=[each.name for each in devices], indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Cases in the order of their numbers, each on every device before the next."""
    if SCRIPT in config.stash:
        items.sort(key=lambda item: _order(item))


def _order(item: pytest.Item) -> tuple[int, str]:
    function = getattr(item, "function", None)
    return (99, "") if function is None else case_of(function).order


@pytest.fixture
def rig(request: pytest.FixtureRequest) -> Any:
    """The open rig (`labctl.campaign.stage.Stage`)."""
    return _script(request).stage


@pytest.fixture
def device(request: pytest.FixtureRequest) -> Any:
    """The device under test (`labctl.campaign.subject.Subject`), once the case is played."""
    _script(request)
    return getattr(request, "param", None)


@pytest.fixture
def hub(request: pytest.FixtureRequest) -> Any:
    """The communications hub (`labctl.hub.hub.Hub`)."""
    return _script(request)


@pytest.fixture
def power(device: Any) -> Any:
    """What a person would do at the device (`labctl.campaign.hands.Hands`)."""
    return device


@pytest.fixture
def measure(request: pytest.FixtureRequest) -> Any:
    """Takes the measurements that the case declared (`labctl.campaign.measurements`)."""
    return _script(request)


@pytest.fixture
def watch(request: pytest.FixtureRequest) -> Any:
    """All events since the case began (`labctl.campaign.watch.Watch`)."""
    return _script(request)


@pytest.fixture
def observation(request: pytest.FixtureRequest) -> Any:
    """What all devices did in the time of watching (`labctl.campaign.observation`)."""
    return _script(request)


def _script(request: pytest.FixtureRequest) -> Script:
    script = request.config.stash.get(SCRIPT, None)
    if script is None:
        pytest.skip("it is played on a rig: --rig RIG")
    return script


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> object | None:
    """Play a case. Tests that ask for nothing of ours are left to pytest."""
    script = pyfuncitem.config.stash.get(SCRIPT, None)
    names = inspect.signature(pyfuncitem.obj).parameters
    if script is None or not _OURS & set(names):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    script.play(pyfuncitem, arguments)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Iterator[None]:  # pragma: no cover - its value goes back by `return`
    """Trouble of the rig is an error, not a failure: of the test's surroundings."""
    report: pytest.TestReport = yield  # type: ignore[assignment]
    if call.excinfo is not None and getattr(call.excinfo.value, "is_infrastructure", False):
        report.when = "setup"
    return report  # type: ignore[return-value]  # a wrapper gives back the report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Close the rig; the exit code is the verdict's, as of every labctl command."""
    script = session.config.stash.get(SCRIPT, None)
    if script is not None:
        script.close()
        if session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            session.exitstatus = script.exit_code or session.exitstatus


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """The verdict, worst reasons first."""
    script = config.stash.get(SCRIPT, None)
    if script is not None:
        script.summarise(terminalreporter.write_line)


Write = Callable[[str], None]
