"""What a virtual device experienced, as its maker would find it in a debug log."""

from __future__ import annotations

import enum
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass


class What(enum.StrEnum):
    """The kinds of things that a device notices."""

    POWER_ON = "power-on"
    POWER_OFF = "power-off"
    SILENT = "silent"
    JOIN_FAILED = "join-failed"  # detail: a JoinFailure
    JOINED = "joined"
    REJOINED = "rejoined"
    HUB_SWAPPED = "hub-swapped"  # detail: the new trust centre
    REJOIN_FAILED = "rejoin-failed"  # detail: a JoinFailure
    LEFT = "left"
    NO_KEY_ESTABLISHMENT = "no-key-establishment"
    KEY_ESTABLISHED = "key-established"
    KEY_FAILED = "key-failed"  # detail: who ended it, and the status
    NO_ESI = "no-esi"
    ESI_ELSEWHERE = "esi-elsewhere"  # an ESI on another node than the trust centre: not used
    NO_TIME = "no-time"
    BOUND = "bound"
    BIND_REFUSED = "bind-refused"
    REGISTRATION_ABORTED = "registration-aborted"
    REGISTERED = "registered"
    REDISCOVERED = "rediscovered"
    KEEP_ALIVE = "keep-alive"
    KEEP_ALIVE_FAILED = "keep-alive-failed"
    NETWORK_LOST = "network-lost"  # detail: why the device began to search
    METER_FOUND = "meter-found"
    SURVEY_FAILED = "survey-failed"
    READ_FAILED = "read-failed"
    READ_REFUSED = "read-refused"
    PROVOKED = "provoked"  # detail: what was tried and what came of it
    PUSHED = "pushed"
    UNSECURED_ANSWER = "unsecured-answer"
    UNSECURED_REQUEST = "unsecured-request"
    GARBAGE = "garbage"
    POWER_CUT = "power-cut"  # detail: what cut it
    GONE = "gone"  # it has left as it meant to, and is switched off
    EXPLORED = "explored"  # the application's first contact is through
    HISTORY = "history"  # detail: what the hub answered
    CONFIRMED = "confirmed"  # a message, by its person
    PRESSED = "pressed"  # detail: the button and what came of it
    CONSUMER_DATA_CLEARED = "consumer-data-cleared"
    FAST_POLL = "fast-poll"  # detail: what the hub granted
    LOAD = "load"  # detail: what a load switch did, and for which event
    TUNNEL = "tunnel"  # detail: opened, data, closed
    MIRROR = "mirror"  # detail: what became of the gas meter's mirror
    MIRROR_FLAGS = "mirror-flags"  # detail: what the hub has for the gas meter
    OTA = "ota"  # detail: how the firmware upgrade goes
    SUSPENDED = "suspended"  # told to send no ZCL frames; detail: for how long
    RESUMED = "resumed"  # may send them again; detail: why
    SUSPENSION_UNKNOWN = "suspension-unknown"  # detail: why the hub did not say
    CHANNEL_FOLLOWED = "channel-followed"  # detail: where to
    CHANNEL_ANNOUNCED = "channel-announced"  # detail: what ChannelChange says
    FRAMES_LOST = "frames-lost"  # told to the hub; detail: how many of how many


@dataclass(frozen=True, slots=True)
class Observation:
    """One thing noticed, `at_s` on the event loop's clock."""

    at_s: float
    what: What
    detail: str = ""


@dataclass(slots=True)
class ReadCount:
    """How the reads of one schedule went. `lost` slots passed while the device could not read."""

    ok: int = 0
    failed: int = 0
    refused: int = 0
    retried: int = 0
    lost: int = 0


class Observations:
    """The newest observations, the count of every kind, and the reads of every schedule."""

    def __init__(self, now: Callable[[], float], *, keep: int = 4096) -> None:
        self._now = now
        self.log: deque[Observation] = deque(maxlen=keep)
        self.counts: Counter[What] = Counter()
        self.tally: Counter[str] = Counter()
        """Things done so often that a log would hold nothing else."""
        self.reads: dict[str, ReadCount] = {}

    def note(self, what: What, detail: str = "") -> None:
        """Something was noticed just now."""
        self.counts[what] += 1
        self.log.append(Observation(self._now(), what, detail))

    def of(self, what: What) -> list[Observation]:
        """Those of one kind that are still kept, oldest first."""
        return [seen for seen in self.log if seen.what is what]

    def read(self, schedule: str) -> ReadCount:
        """The counts of a schedule."""
        count = self.reads.get(schedule)
        if count is None:
            count = self.reads[schedule] = ReadCount()
        return count
