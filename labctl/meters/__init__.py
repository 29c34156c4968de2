"""What the hub's meters measure, as pure functions of UTC time, start values and a journal.

No clock, no I/O, no randomness but a seed: whoever asks for the same instant with the same journal
gets the same answer, in any order and in any process.
"""

from labctl.meters.account_view import AccountView
from labctl.meters.billing import Bill, Billing
from labctl.meters.civil import TimeBase
from labctl.meters.csv_profile import CsvError, CsvProfile, Outside
from labctl.meters.electricity import ElectricityMeter, MeterRole
from labctl.meters.entries import Originator, SupplyState
from labctl.meters.gas import GasMeter, GasProxy
from labctl.meters.history import History, Interval
from labctl.meters.journal import Journal, JournalError
from labctl.meters.ledger import Totals
from labctl.meters.meter import Fuel, Meter, Reading, Supply
from labctl.meters.moment import SupplyReason
from labctl.meters.prepayment import Account, Debt, Prepayment, TopUp, TopUpResult
from labctl.meters.profile import LoadProfile, Profile, ProfileShape
from labctl.meters.settings import MeterSettings
from labctl.meters.snapshots import Cause, Snapshot
from labctl.meters.solar import NetProfile, SolarProfile
from labctl.meters.switching import Season, SpecialDay, Switch, SwitchingTable
from labctl.meters.tariff import ActivePrice, BlockPeriod, Blocks, Tariff, Tier, pence
from labctl.meters.timeline import Outage

__all__ = [
    "Account",
    "AccountView",
    "ActivePrice",
    "Bill",
    "Billing",
    "BlockPeriod",
    "Blocks",
    "Cause",
    "CsvError",
    "CsvProfile",
    "Debt",
    "ElectricityMeter",
    "Fuel",
    "GasMeter",
    "GasProxy",
    "History",
    "Interval",
    "Journal",
    "JournalError",
    "LoadProfile",
    "Meter",
    "MeterRole",
    "MeterSettings",
    "NetProfile",
    "Originator",
    "Outage",
    "Outside",
    "Prepayment",
    "Profile",
    "ProfileShape",
    "Reading",
    "Season",
    "Snapshot",
    "SolarProfile",
    "SpecialDay",
    "Supply",
    "SupplyReason",
    "SupplyState",
    "Switch",
    "SwitchingTable",
    "Tariff",
    "Tier",
    "TimeBase",
    "TopUp",
    "TopUpResult",
    "Totals",
    "pence",
]
