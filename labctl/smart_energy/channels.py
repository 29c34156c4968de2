"""Radio channels of a GB home area network: 2.4 GHz (page 0) and sub-GHz (pages 28 to 31).

Above 2.4 GHz a channel is known by its number alone; below, it takes the page too, and each party
writes the pair in its own way: ZDO in masks with the page in the top five bits, EZSP
in one condensed octet. `Channel` holds page and channel number, and knows the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from labctl.events import Band

_PAGE_SHIFT = 27
_OFFSET_BITS = (1 << _PAGE_SHIFT) - 1

_CHANNELS_OF_PAGE: dict[int, tuple[int, ...]] = {
    0: tuple(range(11, 27)),
    28: tuple(range(27)),
    29: (*range(27, 35), 62),
    30: tuple(range(35, 62)),
    31: tuple(range(27)),
}
"""Channel numbers by page, in the order of their offsets (R22 annex D)."""

_EMBER_CODE_OF_PAGE = {0: 0, 28: 4, 29: 5, 30: 6, 31: 7}
_PAGE_OF_EMBER_CODE = {code: page for page, code in _EMBER_CODE_OF_PAGE.items()}

PAGES = tuple(_CHANNELS_OF_PAGE)
"""Pages that exist here: 0 for 2.4 GHz, 28 to 31 for sub-GHz."""

_GB_MOST = {0: 26, 28: 26, 29: 34, 30: 48, 31: 12}
"""The last channel number of each page that GB hubs use."""

_UNITS_KHZ = {"khz": Fraction(1), "mhz": Fraction(1000), "ghz": Fraction(1_000_000)}
_FREQUENCY = re.compile(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*([kmg]hz)\s*", re.IGNORECASE)
_PAIR = re.compile(r"page\s+(\d{1,3}),?\s+channel\s+(\d{1,3})", re.IGNORECASE)
_WITH_PAIR = re.compile(r"([^()]+?)\s*(?:\(([^()]*)\))?")


@dataclass(frozen=True, slots=True, order=True)
class Channel:
    """One channel. `page` is 0 or 28 to 31; construction raises `ValueError` for a wrong pair."""

    page: int
    number: int

    def __post_init__(self) -> None:
        channels = _CHANNELS_OF_PAGE.get(self.page)
        if channels is None:
            raise ValueError(
                f"there is no channel page {self.page}: "
                "2.4 GHz is page 0, sub-GHz has the pages 28 to 31"
            )
        if self.number not in channels:
            raise ValueError(
                f"page {self.page} has no channel {self.number}: {_described(channels)}"
            )

    @classmethod
    def from_ember_byte(cls, octet: int) -> Channel:
        """From EZSP's condensed octet. Raises `ValueError` when it stands for no channel."""
        page = _PAGE_OF_EMBER_CODE.get(octet >> 5)
        if page is None:
            raise ValueError(f"the octet {octet:#04x} stands for no channel")
        offset = octet & 0x1F
        if page == 0:
            return cls(0, offset)
        channels = _CHANNELS_OF_PAGE[page]
        if offset >= len(channels):
            raise ValueError(f"the octet {octet:#04x} stands for no channel of page {page}")
        return cls(page, channels[offset])

    @classmethod
    def from_frequency_khz(cls, frequency_khz: int) -> Channel:
        """The channel with this centre frequency. Raises `ValueError` when there is none."""
        for page in PAGES:
            for channel in channels_of_page(page):
                if channel.frequency_khz == frequency_khz:
                    return channel
        raise ValueError(f"no channel has the centre frequency {frequency_khz} kHz")

    @classmethod
    def from_number(cls, band: Band, number: int) -> Channel:
        """The channel of a band that is known by its number alone.

        Of the numbers 0 to 26, which the pages 28 and 31 share, it is page 28 that is meant.
        Raises `ValueError` when the band has no such number.
        """
        if band is Band.GHZ_2_4:
            return cls(0, number)
        for page in SUB_GHZ_PAGES:
            if number in _CHANNELS_OF_PAGE[page]:
                return cls(page, number)
        raise ValueError(f"the band {band} has no channel {number}: 0 to 62")

    @classmethod
    def parse(cls, text: str) -> Channel:
        """From `868.45 MHz`, `868450 kHz`, `page 28, channel 26`, or what `str` makes of it.

        Raises `ValueError` with a sentence for the person who wrote it.
        """
        alone = _PAIR.fullmatch(text.strip())
        if alone:
            return cls(int(alone[1]), int(alone[2]))
        found = _WITH_PAIR.fullmatch(text.strip())
        channel = cls.from_frequency_khz(parse_frequency_khz(found[1] if found else text))
        if found and found[2] is not None:
            pair = _PAIR.fullmatch(found[2].strip())
            if pair is None or (channel.page, channel.number) != (int(pair[1]), int(pair[2])):
                raise ValueError(f"{text.strip()!r} is not a channel: {channel} is")
        return channel

    @property
    def band(self) -> Band:
        """The band that it belongs to."""
        return Band.GHZ_2_4 if self.page == 0 else Band.MHZ_868

    @property
    def used_in_gb(self) -> bool:
        """Whether GB hubs use it: all of 2.4 GHz, and of the other pages what lies below 872.85
        and 917.75 MHz."""
        return self.number <= _GB_MOST[self.page]

    @property
    def offset(self) -> int:
        """Its bit in a channel mask: the number itself on page 0, the place in the page below."""
        if self.page == 0:
            return self.number
        return _CHANNELS_OF_PAGE[self.page].index(self.number)

    @property
    def frequency_khz(self) -> int:
        """Centre frequency in kHz (2.4 GHz: IEEE 802.15.4; sub-GHz: R22 annex D)."""
        if self.page == 0:
            return 2_405_000 + 5_000 * (self.number - 11)
        if self.page == 31:
            return 915_350 + 200 * self.number
        return 863_250 + 200 * self.number

    @property
    def frequency_mhz(self) -> float:
        """Centre frequency in MHz."""
        return self.frequency_khz / 1000

    @property
    def frequency(self) -> str:
        """Centre frequency as people write it: `868.45 MHz`, `2425 MHz`."""
        return f"{self.frequency_mhz:g} MHz"

    @property
    def ember_byte(self) -> int:
        """EZSP's condensed octet: the page's code in three bits, the offset in five."""
        return _EMBER_CODE_OF_PAGE[self.page] << 5 | self.offset

    @property
    def mask(self) -> int:
        """The channel mask with this channel alone: page in bits 27 to 31, offset below."""
        return self.page << _PAGE_SHIFT | 1 << self.offset

    def __str__(self) -> str:
        return f"{self.frequency} (page {self.page}, channel {self.number})"


SUB_GHZ_PAGES = (28, 29, 30, 31)
"""The pages below 2.4 GHz, in the order of the masks below."""

DEFAULT_CHANNELS = {Band.GHZ_2_4: Channel(0, 20), Band.MHZ_868: Channel(28, 10)}
"""Where a network is formed that nobody chose a channel for.

865.25 MHz lies between what fills the rest of the band in a home: wireless audio up to 865 MHz,
RFID readers from 865.6 MHz, LoRaWAN, Z-Wave and alarms around 868 MHz. GB hubs use all of its
page, and pages 28 and 29 are those with the most airtime in an hour.
"""


def parse_frequency_khz(text: str) -> int:
    """kHz of `868.45 MHz`, `868450 kHz` or `2.425 GHz`, exact.

    Raises `ValueError` with a sentence for the person who wrote it.
    """
    found = _FREQUENCY.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a frequency: write 868.45 MHz or 868450 kHz")
    khz = Fraction(found[1]) * _UNITS_KHZ[found[2].lower()]
    if khz.denominator != 1:
        raise ValueError(f"no channel has the centre frequency {text.strip()}")
    return int(khz)


def nearest_channel(frequency_khz: int) -> Channel:
    """The channel whose centre is closest; of two as close, the lower one."""
    return min(
        (channel for page in PAGES for channel in channels_of_page(page)),
        key=lambda channel: (abs(channel.frequency_khz - frequency_khz), channel.frequency_khz),
    )


def default_channel_of_page(page: int) -> Channel:
    """Where a network is formed of which only the page was chosen: its band's default, or the
    first of the page. Raises `ValueError` when there is no such page."""
    for channel in DEFAULT_CHANNELS.values():
        if channel.page == page:
            return channel
    return channels_of_page(page)[0]


def channel_numbers(page: int, *, used_in_gb: bool = False) -> str:
    """The channel numbers of a page in words: `27 to 34, 62`. Raises `ValueError` as above."""
    numbers = (c.number for c in channels_of_page(page) if c.used_in_gb or not used_in_gb)
    return _described(tuple(numbers))


def channels_of_page(page: int) -> tuple[Channel, ...]:
    """All channels of a page, by offset. Raises `ValueError` when there is no such page."""
    if page not in _CHANNELS_OF_PAGE:
        raise ValueError(f"there is no channel page {page}")
    return tuple(Channel(page, number) for number in _CHANNELS_OF_PAGE[page])


def channels_of_mask(mask: int) -> tuple[Channel, ...]:
    """The channels of a 32-bit mask. Bits that stand for no channel are passed over.

    Raises `ValueError` when its page does not exist.
    """
    bits = mask & _OFFSET_BITS
    return tuple(c for c in channels_of_page(mask >> _PAGE_SHIFT) if bits >> c.offset & 1)


def mask_of_channels(channels: Iterable[Channel]) -> int:
    """One mask with all these channels. Raises `ValueError` when they are not of one page."""
    mask, pages = 0, set()
    for channel in channels:
        mask |= channel.mask
        pages.add(channel.page)
    if len(pages) != 1:
        raise ValueError("a channel mask takes channels of one page, and at least one")
    return mask


def masks_of_channels(channels: Iterable[Channel]) -> tuple[int, ...]:
    """One mask for each page that the channels are of, in the order of pages. Empty for none."""
    pages: dict[int, int] = {}
    for channel in channels:
        pages[channel.page] = pages.get(channel.page, 0) | channel.mask
    return tuple(mask for _, mask in sorted(pages.items()))


SE_SUB_GHZ_MASKS = tuple(mask_of_channels(channels_of_page(page)) for page in SUB_GHZ_PAGES)
"""The Smart Energy default masks of the pages 28 to 31: every channel that there is."""

GB_SUB_GHZ_MASKS = tuple(
    mask_of_channels(c for c in channels_of_page(page) if c.used_in_gb) for page in SUB_GHZ_PAGES
)
"""What GB hubs use of them: pages 28 to 30 up to 872.85 MHz, page 31 up to 917.75 MHz."""


def _described(channels: tuple[int, ...]) -> str:
    """Channel numbers as ranges: ``27 to 34, 62``."""
    ranges: list[tuple[int, int]] = []
    for number in channels:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = ranges[-1][0], number
        else:
            ranges.append((number, number))
    return ", ".join(f"{a} to {b}" if a != b else f"{a}" for a, b in ranges)
