import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.events import Band
from labctl.smart_energy.channels import (
    DEFAULT_CHANNELS,
    GB_SUB_GHZ_MASKS,
    PAGES,
    SE_SUB_GHZ_MASKS,
    SUB_GHZ_PAGES,
    Channel,
    channel_numbers,
    channels_of_mask,
    channels_of_page,
    default_channel_of_page,
    mask_of_channels,
    masks_of_channels,
    nearest_channel,
    parse_frequency_khz,
)

ALL = [channel for page in PAGES for channel in channels_of_page(page)]


@pytest.mark.parametrize(
    ("page", "number", "text", "ember_byte", "mask"),
    [
        (0, 11, "2405 MHz (page 0, channel 11)", 0x0B, 0x00000800),
        (0, 26, "2480 MHz (page 0, channel 26)", 0x1A, 0x04000000),
        (28, 0, "863.25 MHz (page 28, channel 0)", 0x80, 0xE0000001),
        (28, 26, "868.45 MHz (page 28, channel 26)", 0x9A, 0xE4000000),
        (29, 27, "868.65 MHz (page 29, channel 27)", 0xA0, 0xE8000001),
        (29, 34, "870.05 MHz (page 29, channel 34)", 0xA7, 0xE8000080),
        (29, 62, "875.65 MHz (page 29, channel 62)", 0xA8, 0xE8000100),
        (30, 35, "870.25 MHz (page 30, channel 35)", 0xC0, 0xF0000001),
        (30, 61, "875.45 MHz (page 30, channel 61)", 0xDA, 0xF4000000),
        (31, 0, "915.35 MHz (page 31, channel 0)", 0xE0, 0xF8000001),
        (31, 26, "920.55 MHz (page 31, channel 26)", 0xFA, 0xFC000000),
    ],
)
def test_ends_of_each_page_are_where_the_specification_has_them(
    page: int, number: int, text: str, ember_byte: int, mask: int
) -> None:
    channel = Channel(page, number)
    assert str(channel) == text
    assert channel.ember_byte == ember_byte
    assert channel.mask == mask


@pytest.mark.parametrize("channel", ALL, ids=str)
def test_every_channel_is_found_again_by_each_of_its_other_names(channel: Channel) -> None:
    assert Channel.from_ember_byte(channel.ember_byte) == channel
    assert Channel.from_frequency_khz(channel.frequency_khz) == channel
    assert channels_of_mask(channel.mask) == (channel,)


def test_no_two_channels_share_a_name() -> None:
    assert len(ALL) == 16 + 27 + 9 + 27 + 27
    for name in ("ember_byte", "mask", "frequency_khz"):
        assert len({getattr(channel, name) for channel in ALL}) == len(ALL)


def test_default_masks_are_those_of_smart_energy() -> None:
    assert SE_SUB_GHZ_MASKS == (0xE7FFFFFF, 0xE80001FF, 0xF7FFFFFF, 0xFFFFFFFF)


def test_gb_masks_end_where_gb_hubs_end() -> None:
    ends = [channels_of_mask(mask)[-1].frequency_mhz for mask in GB_SUB_GHZ_MASKS]
    assert ends == [868.45, 870.05, 872.85, 917.75]


def test_bands() -> None:
    assert {channel.band for channel in channels_of_page(0)} == {Band.GHZ_2_4}
    assert {c.band for c in ALL if c.page} == {Band.MHZ_868}


@pytest.mark.parametrize(
    ("page", "number", "says"),
    [
        (0, 10, "page 0 has no channel 10: 11 to 26"),
        (0, 27, "page 0 has no channel 27"),
        (28, 27, "page 28 has no channel 27: 0 to 26"),
        (29, 35, "page 29 has no channel 35: 27 to 34, 62"),
        (30, 62, "page 30 has no channel 62: 35 to 61"),
        (31, -1, "page 31 has no channel -1"),
        (1, 11, "no channel page 1: 2.4 GHz is page 0, sub-GHz has the pages 28 to 31"),
    ],
)
def test_channel_that_does_not_exist_is_refused(page: int, number: int, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Channel(page, number)


@given(st.integers(min_value=0, max_value=255))
def test_every_octet_is_a_channel_or_an_error(octet: int) -> None:
    try:
        channel = Channel.from_ember_byte(octet)
    except ValueError:
        assert octet not in {c.ember_byte for c in ALL}
    else:
        assert channel.ember_byte == octet


@given(st.integers(min_value=0, max_value=0xFFFFFFFF))
def test_every_mask_gives_channels_of_its_page_or_an_error(mask: int) -> None:
    page = mask >> 27
    try:
        channels = channels_of_mask(mask)
    except ValueError:
        assert page not in PAGES
    else:
        assert {c.page for c in channels} <= {page}
        assert sum(1 << c.offset for c in channels) | mask == mask
        if channels:
            assert channels_of_mask(mask_of_channels(channels)) == channels


def test_mask_is_of_one_page_only() -> None:
    for channels in ([], [Channel(28, 0), Channel(29, 27)]):
        with pytest.raises(ValueError, match="of one page"):
            mask_of_channels(channels)


def test_frequency_between_channels_is_refused() -> None:
    with pytest.raises(ValueError, match="868500 kHz"):
        Channel.from_frequency_khz(868_500)


def test_page_that_does_not_exist_has_no_channels() -> None:
    with pytest.raises(ValueError, match="no channel page 27"):
        channels_of_page(27)


# -- what people write ----------------------------------------------------------------------------


@pytest.mark.parametrize("channel", ALL, ids=str)
def test_what_is_printed_is_read_back(channel: Channel) -> None:
    pair = f"page {channel.page}, channel {channel.number}"
    for text in (str(channel), channel.frequency, pair, f"{channel.frequency_khz} kHz"):
        assert Channel.parse(text) == channel
        assert Channel.parse(f"  {text.upper()} ") == channel


@pytest.mark.parametrize(
    ("text", "khz"),
    [
        ("868.45 MHz", 868_450),
        ("868.450000MHz", 868_450),
        ("868450 kHz", 868_450),
        ("0.86845 GHz", 868_450),
        ("2425 mhz", 2_425_000),
        ("2.425 GHz", 2_425_000),
    ],
)
def test_frequency_in_any_unit_is_exact(text: str, khz: int) -> None:
    assert parse_frequency_khz(text) == khz


@pytest.mark.parametrize(
    "text", ["868.45", "868.45 Hz", "868,45 MHz", "-1 MHz", "", "MHz", "1e3 MHz"]
)
def test_what_is_no_frequency_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"write 868\.45 MHz or 868450 kHz"):
        parse_frequency_khz(text)


def test_frequency_between_two_kilohertz_is_no_channels() -> None:
    with pytest.raises(ValueError, match=r"no channel has the centre frequency 868\.4500001 MHz"):
        parse_frequency_khz("868.4500001 MHz")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "868.45 MHz (page 28, channel 25)",
        "868.45 MHz (channel 26)",
        "868.45 MHz ()",
        "page 28",
        "page 28, channel 27",
        "page 5, channel 1",
        "868.3 MHz",
        "channel 26",
        "(page 28, channel 26",
    ],
)
def test_what_is_no_channel_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no channel|not a channel|not a frequency"):
        Channel.parse(text)


@given(st.text(max_size=40))
def test_any_text_is_a_channel_or_an_error(text: str) -> None:
    try:
        channel = Channel.parse(text)
    except ValueError:
        return
    assert channel in ALL


@given(
    st.integers(min_value=1, max_value=3_000_000),
    st.sampled_from([("kHz", 0), ("MHz", 3), ("GHz", 6)]),
)
def test_frequencies_are_converted_both_ways(khz: int, unit: tuple[str, int]) -> None:
    name, places = unit
    digits = str(khz).rjust(places + 1, "0")
    written = f"{digits[:-places]}.{digits[-places:]}" if places else digits
    assert parse_frequency_khz(f"{written} {name}") == khz
    known = {channel.frequency_khz: channel for channel in ALL}
    if khz in known:
        assert Channel.from_frequency_khz(khz) == known[khz]
    else:
        with pytest.raises(ValueError, match="no channel"):
            Channel.from_frequency_khz(khz)


@given(st.integers(min_value=0, max_value=3_000_000))
def test_no_channel_is_nearer_than_the_nearest(khz: int) -> None:
    distance = abs(nearest_channel(khz).frequency_khz - khz)
    assert distance == min(abs(channel.frequency_khz - khz) for channel in ALL)


# -- by number, by page, by country ---------------------------------------------------------------


def test_number_without_a_page_is_of_the_page_that_has_it() -> None:
    for number in range(63):
        page = 28 if number < 27 else 29 if number < 35 or number == 62 else 30
        assert Channel.from_number(Band.MHZ_868, number) == Channel(page, number)
    assert Channel.from_number(Band.GHZ_2_4, 26) == Channel(0, 26)
    for band, number in ((Band.MHZ_868, 63), (Band.MHZ_868, -1), (Band.GHZ_2_4, 10)):
        with pytest.raises(ValueError, match="no channel"):
            Channel.from_number(band, number)


def test_gb_uses_what_its_masks_say() -> None:
    used = {channel for mask in GB_SUB_GHZ_MASKS for channel in channels_of_mask(mask)}
    assert used == {channel for channel in ALL if channel.page and channel.used_in_gb}
    assert GB_SUB_GHZ_MASKS == (
        28 << 27 | 0x07FFFFFF,
        29 << 27 | 0x000000FF,
        30 << 27 | 0x00003FFF,
        31 << 27 | 0x00001FFF,
    )
    assert all(channel.used_in_gb for channel in channels_of_page(0))


def test_defaults_are_channels_that_gb_uses() -> None:
    for band, channel in DEFAULT_CHANNELS.items():
        assert channel.band is band
        assert channel.used_in_gb
        assert default_channel_of_page(channel.page) == channel
    for page in PAGES:
        assert default_channel_of_page(page).page == page
        assert default_channel_of_page(page).used_in_gb


@given(st.lists(st.sampled_from(ALL), max_size=60))
def test_masks_of_several_pages_hold_the_channels(channels: list[Channel]) -> None:
    masks = masks_of_channels(channels)
    pages = [mask >> 27 for mask in masks]
    assert pages == sorted({channel.page for channel in channels})
    assert {c for mask in masks for c in channels_of_mask(mask)} == set(channels)


def test_numbers_of_a_page_in_words() -> None:
    assert [channel_numbers(page) for page in SUB_GHZ_PAGES] == [
        "0 to 26",
        "27 to 34, 62",
        "35 to 61",
        "0 to 26",
    ]
    assert [channel_numbers(page, used_in_gb=True) for page in SUB_GHZ_PAGES] == [
        "0 to 26",
        "27 to 34",
        "35 to 48",
        "0 to 12",
    ]
