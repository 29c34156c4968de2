"""What a hub is told before it starts. Plain values: the rig fills them from its files."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from labctl.events import Band, DeviceKind, PairingMethod
from labctl.hub.bearer_settings import BearerSettings
from labctl.radio.coordinator import NetworkSettings
from labctl.secret import Secret
from labctl.smart_energy.access import AccessTable
from labctl.smart_energy.device_types import DeviceLogType
from labctl.smart_energy.disagreements import USUAL, DeviceSettings
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.ota_image import OtaImage

HUB = "hub"
"""The name under which read schedules speak of the hub's own endpoint (1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedDevice:
    """A device that belongs into the device log.

    `link_key` is the preconfigured link key, 16 octets: AES-MMO over the install code and its CRC.
    `log_type` is what CCS01 calls it; None: what follows from `kind`. `bands` are those that its
    radio has; none: nobody said. `reach` has what is known beforehand of how well a band gets to
    where the device is, in words.
    """

    eui64: Eui64
    name: str
    kind: DeviceKind
    link_key: Secret
    manufacturer: str | None = None
    model: str | None = None
    settings: DeviceSettings = USUAL
    log_type: DeviceLogType | None = None
    bands: tuple[Band, ...] = ()
    reach: Mapping[Band, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.link_key) != 16:
            raise ValueError(f"a link key has 16 octets, not {len(self.link_key)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSchedule:
    """What a device should read, and how punctually.

    Either `attributes` (one Read Attributes asks for at least these) or `command_id`. `endpoint`
    is a number, a meter's name, `HUB`, or None for any.
    """

    eui64: Eui64
    name: str
    cluster_id: int
    period_ms: int
    tolerance_ms: int
    endpoint: int | str | None = None
    attributes: tuple[int, ...] = ()
    command_id: int | None = None


class TimeSource(enum.StrEnum):
    """Which bit of TimeStatus the hub's clock shows (ZCL 3.12.2.2.2)."""

    MASTER = "master"
    SYNCHRONISED = "synchronised"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long the trust centre waits for what, in seconds.

    `begin_key_establishment_s` and `remove_unkeyed_s` are SE 1.4a 5.4's 20 and 60 minutes.
    `finish_s` is how long a join that is under way may run on after its window closed.
    `identify_after_s` after a device's first authorised word the hub reads its Basic cluster and
    waits `answer_s` for each answer. `leave_s` is how long a device that was told to go may take
    to say so. After `failures_in_a_row` of key establishment a device is put off for `pause_s`
    (SE 1.4a 5.4: ten, and 15 min). `repeat_s` is how long a finished exchange is kept for the
    device that did not hear its end.
    """

    announce_s: float = 10.0
    begin_key_establishment_s: float = 20 * 60.0
    remove_unkeyed_s: float = 60 * 60.0
    finish_s: float = 300.0
    identify_after_s: float = 5.0
    answer_s: float = 10.0
    leave_s: float = 10.0
    failures_in_a_row: int = 10
    pause_s: float = 15 * 60.0
    repeat_s: float = 60.0


class KeyEngine(enum.StrEnum):
    """Where the arithmetic of key establishment is done.

    AUTO: in the NCP when its firmware has the whole library and a certificate, else in the host.
    """

    AUTO = "auto"
    HOST = "host"
    RADIO = "radio"


@dataclass(frozen=True, slots=True, kw_only=True)
class Supplier:
    """Who supplies, as displays are told: 16 octets of name and 19 of contact at most.

    `provider_id` holds where no tariff tells one. Without a `customer_id` none is published.
    """

    name: str = "labctl"
    contact: str = ""
    provider_id: int = 1
    customer_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtaSettings:
    """How images are served.

    Blocks have at most `block_octets`. A device that asks for them more often than each
    `block_period_ms`, or as one more than `simultaneous`, is told to wait; the latter for `wait_s`.
    `upgrade_after_s` None lets a device wait for another Upgrade End Response. With `notify` a
    device is told of an image when it gets in.
    """

    images: tuple[OtaImage, ...] = ()
    notify: bool = True
    block_octets: int = 48
    block_period_ms: int = 0
    simultaneous: int = 16
    wait_s: int = 60
    upgrade_after_s: int | None = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelSettings:
    """Tunnels to and from devices.

    With `open` the hub opens one to each PPMID and load switch. At most `most` may be opened to
    it; with `busy` none. `close_after_s` None: a tunnel may be idle for ever.
    """

    open: bool = True
    most: int = 16
    busy: bool = False
    close_after_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSettings:
    """A hub's settings. `access` says who may do what.

    `suites` are the key establishment suites on offer; each needs an identity. `refusal_status` is
    what a device hears that asks for what it may not have, `write_status` what it hears for each
    attribute that it tries to write. `queue_limit` bounds the requests of one device that wait.
    `gas_proxy_counts` makes the proxy one of the `network.max_devices`. With `require_consent` no
    pairing is armed without a consent reference.
    """

    network: NetworkSettings
    access: AccessTable
    devices: tuple[LoggedDevice, ...] = ()
    schedules: tuple[ReadSchedule, ...] = ()
    suites: tuple[int, ...] = (2,)
    time_source: TimeSource = TimeSource.SYNCHRONISED
    patience: Patience = field(default_factory=Patience)
    keep_alive_base_min: int = 10
    keep_alive_jitter_s: int = 300
    refusal_status: int = 0x7E
    write_status: int = 0x88
    queue_limit: int = 32
    bindings_limit: int = 160
    ota: OtaSettings = field(default_factory=OtaSettings)
    tunnels: TunnelSettings = field(default_factory=TunnelSettings)
    supplier: Supplier = field(default_factory=Supplier)
    gas_proxy_counts: bool = False
    bearers: BearerSettings = field(default_factory=BearerSettings)
    require_consent: bool = False
    key_engine: KeyEngine = KeyEngine.AUTO
    manufacturer: str = "labctl"
    model: str = "Communications hub"


@dataclass(frozen=True, slots=True, kw_only=True)
class PairingRequest:
    """Somebody wants a device to be let in, for `window_s` seconds (1 to 65535).

    `device` adds an entry to the device log; None when the device is in it already.
    """

    eui64: Eui64
    window_s: int
    method: PairingMethod = PairingMethod.REMOTE
    requested_by: str = "bench"
    consent_reference: str | None = None
    device: LoggedDevice | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.window_s <= 0xFFFF:
            raise ValueError(f"a pairing window lasts 1 to 65535 s, not {self.window_s}")
        if self.device is not None and self.device.eui64 != self.eui64:
            raise ValueError("the request and its device speak of two addresses")
