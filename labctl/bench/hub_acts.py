"""What other commands have a hub do that is held: the far side of `labctl.rig.hub_client`."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any

from labctl import __version__
from labctl.bench.board import Board
from labctl.bench.pair import pair_on, unpair_on
from labctl.bench.plain import PlainView
from labctl.errors import UsageError
from labctl.events import Event
from labctl.rig import asked
from labctl.rig.session import RigSession
from labctl.rig.wire import Request

Tell = Callable[[str], None]
_LONGEST_SUSPENSION_MIN = 255


class HubActs:
    """Does what requests ask for, on an open rig."""

    def __init__(self, session: RigSession, since_us: int) -> None:
        self._session = session
        self._since_us = since_us
        self._table: dict[str, Callable[[Request, Tell], Awaitable[dict[str, Any]]]] = {
            "status": self._status,
            "pair": self._pair,
            "unpair": self._unpair,
            "read": self._read,
            "channel": self._channel,
            "suspend": self._suspend,
            "resume": self._resume,
            "meters": self._meters,
        }

    async def __call__(self, request: Request, tell: Tell) -> dict[str, Any]:
        """Do it. Raises `LabctlError`, of which `UsageError` for what is asked wrongly."""
        act = self._table.get(request.do)
        if act is None:
            raise UsageError(
                f"a hub does not do {request.do[:20]!r}",
                mend=f"it does {', '.join(sorted(self._table))}",
            )
        return await act(request, tell)

    # -- looking ----------------------------------------------------------------------------------

    async def _status(self, request: Request, tell: Tell) -> dict[str, Any]:
        request.nothing_else()
        return self.status()

    def status(self) -> dict[str, Any]:
        """How it stands with the hub. No keys are in it."""
        session = self._session
        return {
            "rig": session.loaded.name,
            "virtual": session.loaded.is_virtual,
            "labctl": __version__,
            "pid": os.getpid(),
            "run": session.run_id,
            "since_us": self._since_us,
            "now_us": session.clock.now_us(),
            "radios": asked.radios(session),
            "devices": asked.devices(session),
        }

    # -- devices ----------------------------------------------------------------------------------

    async def _pair(self, request: Request, tell: Tell) -> dict[str, Any]:
        applicants = request.applicants("devices")
        request.nothing_else()
        asked.must_have_radio(self._session)
        board = Board()
        view = PlainView(board, tell)

        def follow(event: Event) -> None:
            board(event)
            view(event)

        unsubscribe = self._session.bus.subscribe(follow)
        try:
            devices = await pair_on(self._session, applicants)
        finally:
            unsubscribe()
        return {
            "run": self._session.run_id,
            "devices": [
                {
                    "eui64": paired.eui64,
                    "name": paired.name,
                    "ending": paired.ending.value,
                    "cause": paired.cause,
                }
                for paired in devices
            ],
        }

    async def _unpair(self, request: Request, tell: Tell) -> dict[str, Any]:
        word, reason = request.text("device"), request.text("reason", "asked for")
        request.nothing_else()
        asked.must_have_radio(self._session)
        eui64, left = await unpair_on(self._session, word, reason)
        return {"eui64": eui64, "left": left}

    async def _read(self, request: Request, tell: Tell) -> dict[str, Any]:
        word = request.text("device")
        cluster_id = request.whole("cluster", 0, 0xFFFF)
        attributes = request.wholes("attributes", 0, 0xFFFF)
        endpoint = request.maybe_whole("endpoint", 1, 240)
        request.nothing_else()
        asked.must_have_radio(self._session)
        return await asked.read(self._session, word, cluster_id, attributes, endpoint)

    async def _meters(self, request: Request, tell: Tell) -> dict[str, Any]:
        """Somebody wrote into the meters' journal: it happens now."""
        request.nothing_else()
        return {"taken": self._session.look_at_meters()}

    # -- the air ----------------------------------------------------------------------------------

    async def _channel(self, request: Request, tell: Tell) -> dict[str, Any]:
        wanted, bearer = request.maybe_text("channel"), request.maybe_whole("bearer", 0, 1)
        request.nothing_else()
        asked.must_have_radio(self._session)
        return await asked.change_channel(self._session, wanted, bearer)

    async def _suspend(self, request: Request, tell: Tell) -> dict[str, Any]:
        device = asked.listed(self._session, request.text("device"))
        minutes = request.whole("minutes", 1, _LONGEST_SUSPENSION_MIN)
        cause = request.text("cause", "asked for")
        request.nothing_else()
        asked.must_have_radio(self._session)
        self._session.hub.care.of_sub_ghz.suspend(device.eui64, minutes, cause)
        return {"eui64": str(device.eui64), "minutes": minutes}

    async def _resume(self, request: Request, tell: Tell) -> dict[str, Any]:
        device = asked.listed(self._session, request.text("device"))
        cause = request.text("cause", "asked for")
        request.nothing_else()
        asked.must_have_radio(self._session)
        self._session.hub.care.of_sub_ghz.resume(device.eui64, cause)
        return {"eui64": str(device.eui64), "minutes": 0}
