"""What the hub's meters measure, as pure functions of UTC time.

No clock, no I/O, no randomness but a seed: whoever asks for the same instant gets the same answer,
in any order and in any process.
"""

from labctl.meters.electricity import ElectricityMeter
from labctl.meters.gas import GasMeter, GasProxy
from labctl.meters.meter import Fuel, Meter, Reading
from labctl.meters.profile import LoadProfile, ProfileShape
from labctl.meters.tariff import ActivePrice, Tariff, Tier, pence

__all__ = [
    "ActivePrice",
    "ElectricityMeter",
    "Fuel",
    "GasMeter",
    "GasProxy",
    "LoadProfile",
    "Meter",
    "ProfileShape",
    "Reading",
    "Tariff",
    "Tier",
    "pence",
]
