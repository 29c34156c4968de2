"""The two physical layers of a GB home area network, and their timing.

2.4 GHz: O-QPSK, 250 kb/s, 16 µs symbols (802.15.4-2011 clause 10). 868 MHz (pages 28 to 31): 2-FSK,
100 kb/s, 10 µs symbols; its preamble and its listen-before-talk are simplified to the same CSMA-CA
with the longer times.
"""

from __future__ import annotations

from dataclasses import dataclass

MIN_BE = 3  # macMinBE
MAX_BE = 5  # macMaxBE
MAX_BACKOFFS = 4  # macMaxCSMABackoffs
MAX_RETRIES = 3  # macMaxFrameRetries


@dataclass(frozen=True, slots=True)
class Phy:
    """Times in seconds, levels in dBm."""

    mhz: float
    octet_s: float
    header_octets: int  # preamble, start of frame, length
    symbol_s: float
    sensitivity_dbm: float

    @property
    def unit_backoff_s(self) -> float:
        """aUnitBackoffPeriod: 20 symbols."""
        return 20 * self.symbol_s

    @property
    def cca_s(self) -> float:
        """Clear channel assessment: 8 symbols."""
        return 8 * self.symbol_s

    @property
    def turnaround_s(self) -> float:
        """aTurnaroundTime: 12 symbols, also between a frame and its acknowledgement."""
        return 12 * self.symbol_s

    @property
    def ack_wait_s(self) -> float:
        """macAckWaitDuration: 54 symbols at 2.4 GHz; longer where octets are longer."""
        return 20 * self.symbol_s + self.turnaround_s + (self.header_octets + 5) * self.octet_s

    def airtime_s(self, octets: int) -> float:
        """How long a PSDU of so many octets occupies the channel."""
        return (self.header_octets + octets) * self.octet_s


PHY_2450 = Phy(2440.0, 32e-6, 6, 16e-6, -100.0)
PHY_868 = Phy(868.0, 80e-6, 12, 10e-6, -104.0)


def phy_of(page: int) -> Phy:
    """The physical layer of a channel page; `ValueError` for a page that no radio here has."""
    if page == 0:
        return PHY_2450
    if 28 <= page <= 31:
        return PHY_868
    raise ValueError(f"channel page {page}: there are 0 (2.4 GHz) and 28 to 31 (sub-GHz)")
