"""The two physical layers of a GB home area network, and their timing.

2.4 GHz: O-QPSK, 250 kb/s, 16 µs symbols, CSMA-CA (802.15.4-2011 clause 10). Sub-GHz, pages 28 to
31: 2-GFSK, 100 kb/s, 10 µs symbols, listen before talk (R22 annex D). Of the latter: a preamble of
8 octets and a start of frame of 2 (D.10.1.1.1), a header of 2 (D.10.1.1.2), a check sequence of 2
like the other's; the constants of listening are those of D.11.2, which the UK uses for all pages.
"""

from __future__ import annotations

from dataclasses import dataclass

MIN_BE = 3  # macMinBE
MAX_BE = 5  # macMaxBE
MAX_BACKOFFS = 4  # macMaxCSMABackoffs
MAX_RETRIES = 3  # macMaxFrameRetries


@dataclass(frozen=True, slots=True)
class ListenBeforeTalk:
    """The constants of R22 D.11.2. Times in seconds.

    An acknowledgement is sent without listening and without regard to `off_s`: it has to begin
    within the window, which is shorter than the silence that others wait for.
    """

    min_free_s: float = 5e-3  # aLBTMinFree
    max_random_s: float = 5e-3  # aLBTMaxRandom, in steps of:
    granularity_s: float = 0.5e-3  # aLBTGranularity
    retries: int = 3  # aLBTMaxTxRetries: the random part was not free
    timeout_s: float = 60e-3  # aLBTTimeout: there was no silence at all
    off_s: float = 100e-3  # aLBTTxMinOff: between two frames of one device
    ack_window_s: float = 1e-3  # aLBTAckWindow
    longest_s: float = 1.0  # aLBTTxMaxPkt: no frame of 127 octets comes near


@dataclass(frozen=True, slots=True)
class Phy:
    """Times in seconds unless the name says µs, levels in dBm.

    `noise_dbm` is the noise of a receiver in its own bandwidth (noise figure about 12 dB, 8 dB for
    the narrow one); `carrier_dbm` the level from which on it takes the channel for busy.
    """

    mhz: float
    octet_us: int
    header_octets: int  # preamble, start of frame, length
    symbol_s: float
    sensitivity_dbm: float
    noise_dbm: float
    bandwidth_mhz: float
    carrier_dbm: float
    turnaround_symbols: int
    lbt: ListenBeforeTalk | None = None

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
        """aTurnaroundTime, also between a frame and its acknowledgement: 12 symbols; with listen
        before talk 45, the earliest moment of the acknowledgement's window."""
        return self.turnaround_symbols * self.symbol_s

    @property
    def ack_wait_s(self) -> float:
        """macAckWaitDuration: 54 symbols at 2.4 GHz; the window and the acknowledgement below."""
        window_s = (
            20 * self.symbol_s + self.turnaround_s if self.lbt is None else self.lbt.ack_window_s
        )
        return window_s + self.airtime_us(5) * 1e-6

    def airtime_us(self, octets: int) -> int:
        """How long a PSDU of so many octets occupies the channel, µs: exact."""
        return (self.header_octets + octets) * self.octet_us

    def airtime_s(self, octets: int) -> float:
        """How long a PSDU of so many octets occupies the channel."""
        return self.airtime_us(octets) * 1e-6


PHY_2450 = Phy(
    mhz=2440.0,
    octet_us=32,
    header_octets=6,
    symbol_s=16e-6,
    sensitivity_dbm=-100.0,
    noise_dbm=-99.0,
    bandwidth_mhz=2.0,
    carrier_dbm=-75.0,
    turnaround_symbols=12,
)

PHY_868 = Phy(
    mhz=868.0,
    octet_us=80,
    header_octets=12,
    symbol_s=10e-6,
    sensitivity_dbm=-104.0,  # R22 asks for -99
    noise_dbm=-113.0,
    bandwidth_mhz=0.2,
    carrier_dbm=-87.0,  # aLBTThresholdLevelLp, for transmitters of up to 14 dBm
    turnaround_symbols=45,
    lbt=ListenBeforeTalk(),
)


def phy_of(page: int) -> Phy:
    """The physical layer of a channel page; `ValueError` for a page that no radio here has."""
    if page == 0:
        return PHY_2450
    if is_sub_ghz(page):
        return PHY_868
    raise ValueError(f"channel page {page}: there are 0 (2.4 GHz) and 28 to 31 (sub-GHz)")


def is_sub_ghz(page: int) -> bool:
    """Whether a channel page is one of those below 1 GHz."""
    return 28 <= page <= 31


def centre_mhz(page: int, channel: int) -> float:
    """The centre frequency of a channel, also of numbers that its page does not use."""
    if page == 0:
        return 2405.0 + 5.0 * (channel - 11)
    return (915.35 if page == 31 else 863.25) + 0.2 * channel
