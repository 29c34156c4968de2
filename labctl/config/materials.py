"""What walls and floors are made of, and what they cost a radio wave, by band.

Losses are worked out from layers with the electrical properties of Recommendation ITU-R P.2040-3
(table 3: relative permittivity a, conductivity c·f^d in S/m with f in GHz), at normal incidence.
Of each layer its absorption and the power that both its faces reflect count; how the reflections
interfere does not, since it swings by some dB with every centimetre of a thickness that nobody
knows that well. The table's range begins at 1 GHz for most classes; its formulas are taken down to
868 MHz.

Three things are not in that table. Brick: its conductivity there gives 1 to 5 dB less than was
measured through single brick walls, so it is the one that reproduces Muqaibel's wall of 87 mm,
1.07·f + 0.98 dB (Virginia Tech, 2003). Foil on insulation boards: metal that waves get round at its
edges, so a measured figure: modern buildings with metal-coated insulation and glass cost 20 to
25 dB more than old ones, from 800 MHz up (Rodriguez and others, VTC 2014). Timber floors: P.1238-13
(table 5) has 5 dB for one of a house at 2.4 GHz; the layers alone have about half.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from labctl.events import Band


@dataclass(frozen=True, slots=True)
class Substance:
    """Relative permittivity, and conductivity `c` · f^`d` S/m with f in GHz."""

    permittivity: float
    c: float
    d: float

    def conductivity(self, ghz: float) -> float:
        """S/m at that frequency."""
        return self.c * math.pow(ghz, self.d)

    def slab_loss_db(self, metres: float, mhz: float) -> float:
        """What a slab of it costs, dB: two faces, all that goes to and fro between them, and the
        absorption of the way (P.2040 eq. 25: 1636·σ/√ε dB a metre)."""
        index = math.sqrt(self.permittivity)
        reflected = ((index - 1) / (index + 1)) ** 2
        attenuation_db = 1636.0 * self.conductivity(mhz / 1000) / index * metres
        passed = 10 ** (-attenuation_db / 10)
        through = (1 - reflected) ** 2 * passed / (1 - (reflected * passed) ** 2)
        return -10 * math.log10(through)


CONCRETE = Substance(5.24, 0.0462, 0.7822)
BRICK = Substance(3.91, 0.0170, 0.92)
PLASTERBOARD = Substance(2.73, 0.0085, 0.9395)
WOOD = Substance(1.99, 0.0047, 1.0718)
CHIPBOARD = Substance(2.58, 0.0217, 0.78)
STONE = Substance(7.074, 0.0055, 0.9262)  # the table's marble, the only stone in it


@dataclass(frozen=True, slots=True)
class Construction:
    """A wall or a floor: its layers, and what it is in words."""

    text: str
    layers: tuple[tuple[Substance, float], ...]

    def loss_db(self, mhz: float) -> float:
        """What its layers cost one after the other, dB."""
        return sum(substance.slab_loss_db(metres, mhz) for substance, metres in self.layers)


CONSTRUCTIONS: Mapping[str, Construction] = {
    "partition": Construction(
        "plasterboard, 12.5 mm on either side of studs",
        ((PLASTERBOARD, 0.0125), (PLASTERBOARD, 0.0125)),
    ),
    "timber": Construction(
        "timber frame: 12 mm sheathing, 12.5 mm plasterboard, 20 mm boards",
        ((CHIPBOARD, 0.012), (PLASTERBOARD, 0.0125), (WOOD, 0.020)),
    ),
    "brick": Construction("solid brick, 215 mm", ((BRICK, 0.215),)),
    "cavity": Construction(
        "brick, cavity, 100 mm of concrete block", ((BRICK, 0.1025), (CONCRETE, 0.100))
    ),
    "stone": Construction(
        "rubble of 500 mm: half of it stone, half its core of mortar and rubble",
        ((STONE, 0.250), (CONCRETE, 0.250)),
    ),
    "concrete": Construction("concrete, 200 mm", ((CONCRETE, 0.200),)),
    "floor": Construction(
        "timber: chipboard on joists, plasterboard below",
        ((CHIPBOARD, 0.022), (PLASTERBOARD, 0.0125)),
    ),
    "concrete-floor": Construction("a concrete slab of 150 mm", ((CONCRETE, 0.150),)),
}

FOIL_TEXT = "a lining of foil-backed insulation board"
_FOIL_DB = {Band.GHZ_2_4: 25.0, Band.MHZ_868: 20.0}
_TIMBER_FLOOR_2_4_GHZ_DB = 5.0

_MHZ = {Band.GHZ_2_4: 2440.0, Band.MHZ_868: 868.0}


def losses_db() -> dict[str, dict[Band, float]]:
    """What one crossing costs, by material and band, to a tenth of a dB."""
    losses = {
        name: {band: construction.loss_db(mhz) for band, mhz in _MHZ.items()}
        for name, construction in CONSTRUCTIONS.items()
    }
    # Measured at one frequency, joists and all; the layers tell how it changes with that.
    floor = losses["floor"]
    share = _TIMBER_FLOOR_2_4_GHZ_DB / floor[Band.GHZ_2_4]
    losses["floor"] = {band: share * loss for band, loss in floor.items()}
    losses["foil-backed"] = dict(_FOIL_DB)
    return {
        name: {band: round(loss, 1) for band, loss in by_band.items()}
        for name, by_band in losses.items()
    }
