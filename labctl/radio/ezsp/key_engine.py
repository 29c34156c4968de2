"""Key establishment inside an EZSP NCP, for firmware that has the libraries for it.

Stock firmware links stubs, which answer each of these commands with one octet whatever its layout:
bellows waits ten seconds for the rest of such an answer. So `getLibraryStatus` is asked first, for
core, CBKE *and* ECC: the core can be there with an ECC stub under it.

The NCP answers OPERATION_IN_PROGRESS, is deaf on the air for up to 3.5 s, and then calls back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import bellows.types as t

from labctl.errors import RigError
from labctl.radio.coordinator import RadioKeyEngine
from labctl.radio.ezsp.link_keys import LinkKeyTable
from labctl.secret import Secret
from labctl.smart_energy.eui64 import Eui64

_PRESENT = 0x80
_ERROR = 0xFF
_CBKE_CORE = 0x0F
_WAIT_S = 10.0
"""For a callback: SMACs take up to 3.5 s, after a delay for APS retries."""


@dataclass(frozen=True, slots=True)
class _Suite:
    """The commands of one suite; `twin` is what its names end in."""

    cbke: int
    ecc: int
    twin: str
    certificate: Any
    public_key: Any


_SUITES = {
    1: _Suite(0x06, 0x08, "", t.EmberCertificateData, t.EmberPublicKeyData),
    2: _Suite(0x0D, 0x0E, "283k1", t.EmberCertificate283k1Data, t.EmberPublicKey283k1Data),
}


async def built_in_suites(ezsp: Any) -> frozenset[int]:
    """The suites for which the NCP has core, CBKE and ECC."""

    async def present(library: int) -> bool:
        (status,) = await ezsp.getLibraryStatus(libraryId=library)
        return int(status) != _ERROR and bool(int(status) & _PRESENT)

    if not await present(_CBKE_CORE):
        return frozenset()
    return frozenset(
        [
            number
            for number, suite in _SUITES.items()
            if await present(suite.cbke) and await present(suite.ecc)
        ]
    )


class EzspKeyEngine(RadioKeyEngine):
    """The NCP's CBKE commands. `handle` gets each of its callbacks."""

    def __init__(self, ezsp: Any, keys: LinkKeyTable, suites: frozenset[int], radio: str) -> None:
        self._ezsp = ezsp
        self._keys = keys
        self.suites = suites
        self._radio = radio
        self._waiting: dict[str, asyncio.Future[list[Any]]] = {}

    def handle(self, name: str, args: list[Any]) -> None:
        """A callback of the NCP, if it is one that is waited for."""
        future = self._waiting.get(name)
        if future is not None and not future.done():
            future.set_result(args)

    def abandon(self, cause: str) -> None:
        """The stick is gone."""
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(RigError(f"the stick went away: {cause}", where=self._radio))
                future.exception()  # whoever waited may have gone before

    async def certificate(self, suite: int) -> bytes:
        """getCertificate, getCertificate283k1."""
        command = getattr(self._ezsp, f"getCertificate{_SUITES[suite].twin}")
        status, certificate = await command()
        self._must_be_ok(status, f"its suite {suite} certificate")
        return bytes(certificate.serialize())

    async def generate(self, suite: int) -> bytes:
        """generateCbkeKeys, and its callback."""
        twin = _SUITES[suite].twin
        status, point = await self._operate(
            f"generateCbkeKeysHandler{twin}", getattr(self._ezsp, f"generateCbkeKeys{twin}")
        )
        self._must_be_ok(status, "ephemeral keys")
        return bytes(point.serialize())

    async def calculate(
        self, suite: int, *, initiator: bool, certificate: bytes, ephemeral: bytes
    ) -> tuple[bytes, bytes] | None:
        """calculateSmacs, and its callback."""
        library = _SUITES[suite]
        status, macu, macv = await self._operate(
            f"calculateSmacsHandler{library.twin}",
            getattr(self._ezsp, f"calculateSmacs{library.twin}"),
            amInitiator=t.Bool(initiator),
            partnerCertificate=library.certificate(certificate),
            partnerEphemeralPublicKey=library.public_key(ephemeral),
        )
        if t.sl_Status.from_ember_status(status) != t.sl_Status.OK:
            return None
        return bytes(macu.serialize()), bytes(macv.serialize())

    async def store(self, suite: int, partner: Eui64) -> Secret:
        """clearTemporaryDataMaybeStoreLinkKey(true): only this marks the key as authorised."""
        status = await self._clear(suite, store=True)
        self._must_be_ok(status, f"the link key of {partner}")
        key = (await self._keys.read()).get(partner)
        if key is None:
            raise RigError(
                f"the NCP says it stored the link key of {partner}, and holds none",
                where=self._radio,
                mend="its key table may be full: unpair a device",
            )
        return key

    async def discard(self, suite: int) -> None:
        """clearTemporaryDataMaybeStoreLinkKey(false), which answers ERR_FATAL when all is well."""
        await self._clear(suite, store=False)

    async def _clear(self, suite: int, *, store: bool) -> Any:
        name = f"clearTemporaryDataMaybeStoreLinkKey{_SUITES[suite].twin}"
        (status,) = await getattr(self._ezsp, name)(storeLinkKey=t.Bool(store))
        return status

    async def _operate(
        self, callback: str, command: Callable[..., Any], **parameters: Any
    ) -> list[Any]:
        future = self._waiting[callback] = asyncio.get_running_loop().create_future()
        try:
            (status,) = await command(**parameters)
            if t.sl_Status.from_ember_status(status) != t.sl_Status.IN_PROGRESS:
                self._must_be_ok(status, "key establishment")
            async with asyncio.timeout(_WAIT_S):
                result: list[Any] = await future
                return result
        except TimeoutError as error:
            raise RigError(
                f"the NCP began to calculate and never said what came of it ({callback})",
                where=self._radio,
                mend="set hub.key_engine to host",
            ) from error
        finally:
            del self._waiting[callback]

    def _must_be_ok(self, status: Any, what: str) -> None:
        if t.sl_Status.from_ember_status(status) != t.sl_Status.OK:
            raise RigError(f"the NCP gave no {what}: {status!r}", where=self._radio)
