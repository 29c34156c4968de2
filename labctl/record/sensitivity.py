"""How weak a frame may be before a radio loses it, and what the distance to that is called.

Sensitivity is a property of each radio: what the makers state at 1 % packet loss, rounded to the
cautious side. Where the model is not known the figure is the band's usual one, and says so.
No published figure for the margin in GB homes exists: 10 and 3 dB are a proposal.
"""

from __future__ import annotations

from dataclasses import dataclass

from labctl.events import Band

#: From this margin of the weakest tenth on a link is good, dB; below the second it is bad.
GOOD_MARGIN_DB = 10
LEAST_MARGIN_DB = 3

#: What a model's name holds, and its sensitivity at 2.4 GHz, 250 kb/s, dBm.
_MODELS_2450 = (
    ("MG24", -105),
    ("MG21", -104),
    ("nRF54L", -102),
    ("CC2652", -100),
)
_USUAL = {Band.GHZ_2_4.value: -100, Band.MHZ_868.value: -104}


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """`basis` says in a few words where the figure comes from."""

    dbm: int
    basis: str


def sensitivity(band: str, model: str | None = None) -> Sensitivity:
    """The sensitivity of a radio of that model (None: not known) on that band."""
    if band == Band.GHZ_2_4.value and model:
        for name, dbm in _MODELS_2450:
            if name.lower() in model.lower():
                return Sensitivity(dbm, f"stated for {name}")
    return Sensitivity(_USUAL.get(band, -100), "usual for the band; the model is not known")


def margin_word(margin_db: int) -> str:
    """good, marginal or bad."""
    if margin_db >= GOOD_MARGIN_DB:
        return "good"
    return "marginal" if margin_db >= LEAST_MARGIN_DB else "bad"
