import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.events import Band
from labctl.smart_energy.channels import (
    GB_SUB_GHZ_MASKS,
    PAGES,
    SE_SUB_GHZ_MASKS,
    Channel,
    channels_of_mask,
    channels_of_page,
    mask_of_channels,
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
