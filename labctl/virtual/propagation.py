"""How strongly one radio hears another: path loss, shadowing, fading, and what is lost to noise.

These are assumptions for tests, never a claim about coverage. Log-distance path loss (n = 2.8), one
log-normal term for each link and waypoint (reciprocal but for up to 2 dB), Rician fading with
K = 6 dB for each frame, and a logistic from signal to frame loss around the sensitivity.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labctl.virtual.house import House

NOISE_DBM = -99.0
"""Noise floor of a 2 MHz channel with a receiver of about 12 dB noise figure."""

Position = tuple[float, float, float]
"""Metres."""


@dataclass(slots=True)
class Propagation:
    """The room. All figures may be changed before the first frame.

    `noise_dbm` is the noise of the room; what is below the receiver's own changes nothing.
    `extra_loss_db` has more of it: dB for a pair of radio names, in either order. The walls and
    floors of a `house` count one by one, in addition: an `exponent` above 2 counts them twice.
    """

    exponent: float = 2.8
    shadowing_db: float = 4.0
    asymmetry_db: float = 2.0
    rician_k_db: float = 6.0
    noise_dbm: float = NOISE_DBM
    extra_loss_db: dict[frozenset[str], float] = field(default_factory=dict)
    house: House | None = None

    def mean_loss_db(
        self,
        seed: int,
        sender: str,
        receiver: str,
        sender_at: Position,
        receiver_at: Position,
        mhz: float,
    ) -> float:
        """Loss without fading, dB.

        The shadowing of a pair of places is drawn from the seed and the pair alone, so that
        another radio in the room changes nothing, and the way back has the same.
        """
        distance = max(math.dist(sender_at, receiver_at), 0.1)
        loss = reference_loss_db(mhz) + 10 * self.exponent * math.log10(distance)
        if self.house is not None:
            loss += self.house.loss_db(sender_at, receiver_at, mhz)
        ends = sorted(((sender, sender_at), (receiver, receiver_at)))
        drawn = random.Random(f"{seed} {mhz:.0f} {ends}")
        loss += drawn.gauss(0.0, self.shadowing_db)
        half = drawn.uniform(-self.asymmetry_db, self.asymmetry_db) / 2
        loss += half if ends[0][0] == sender else -half
        loss += self.extra_loss_db.get(frozenset((sender, receiver)), 0.0)
        return max(loss, 0.0)

    def fading_table(self) -> tuple[float, ...]:
        """Fading in dB at 1024 equally likely quantiles; a frame draws one of them.

        The amplitude of a Rician channel of unit mean power: a steady wave with a fraction
        K/(K+1) of the power, and a Gaussian remainder.
        """
        k = 10 ** (self.rician_k_db / 10)
        steady, spread = math.sqrt(k / (k + 1)), math.sqrt(1 / (2 * (k + 1)))
        drawn = random.Random("rician")
        powers = sorted(
            (steady + drawn.gauss(0, spread)) ** 2 + drawn.gauss(0, spread) ** 2
            for _ in range(1024 * 16)
        )
        return tuple(10 * math.log10(max(power, 1e-6)) for power in powers[8::16])


def reference_loss_db(mhz: float) -> float:
    """Free-space loss over the first metre, dB."""
    return 20 * math.log10(mhz) - 27.55


def _logistic(x: float) -> float:
    if x > 30.0:
        return 1.0
    if x < -30.0:
        return 0.0
    return 1 / (1 + math.exp(-x))


def reception_probability(
    rssi_dbm: float,
    sensitivity_dbm: float,
    interference_dbm: float | None,
    noise_dbm: float = NOISE_DBM,
) -> float:
    """How likely a frame gets through.

    99 % at the sensitivity (where a data sheet promises 1 % loss), half 3 dB below it. Frames on
    the same channel at the same time count as noise: the stronger one survives a margin of about
    3 dB, as DSSS receivers do. A room noisier than the receiver itself costs as many dB of
    sensitivity; a quieter one gains nothing.
    """
    desensitised_db = max(0.0, noise_dbm - NOISE_DBM)
    chance = _logistic((rssi_dbm - sensitivity_dbm - desensitised_db + 3.0) / 0.65)
    if interference_dbm is not None:
        chance *= _logistic((rssi_dbm - interference_dbm - 2.0) / 0.65)
    return chance


def link_quality(
    rssi_dbm: float,
    interference_dbm: float | None = None,
    noise_dbm: float = NOISE_DBM,
    receiver_dbm: float = NOISE_DBM,
) -> int:
    """LQI 0..255 from the signal-to-noise ratio: 0 at 0 dB, 255 from 40 dB on.

    `receiver_dbm` is the receiver's own noise; `noise_dbm` that of the room, told for 2 MHz.
    No standard says how; radios differ, so compare within one bench and one band only.
    """
    floor = receiver_dbm + max(0.0, noise_dbm - NOISE_DBM)
    if interference_dbm is not None:
        floor = 10 * math.log10(10 ** (floor / 10) + 10 ** (interference_dbm / 10))
    return min(255, max(0, round((rssi_dbm - floor) * 255 / 40)))
