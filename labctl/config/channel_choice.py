"""The one channel that page, number and frequency of a section stand for."""

from __future__ import annotations

from dataclasses import dataclass

from labctl.config.document import Document, Place
from labctl.config.problems import Problem, ProblemSeverity
from labctl.events import Band
from labctl.smart_energy.channels import (
    DEFAULT_CHANNELS,
    Channel,
    channel_numbers,
    default_channel_of_page,
)


@dataclass(slots=True)
class ChannelCheck:
    """Makes out the channel that the section at `place` asks for, on a band that is known."""

    document: Document
    problems: list[Problem]
    place: Place
    band: Band
    other_band: str = ""
    """What to do when the file asks for a channel of the other band."""

    def resolve(
        self, page: int | None, number: int | None, frequency: Channel | None
    ) -> Channel | None:
        """The channel; None, and a problem, when what is written does not go together."""
        if frequency is not None:
            return self._from_frequency(frequency, page, number)
        if page is not None and (page == 0) != (self.band is Band.GHZ_2_4):
            own = "page 0" if self.band is Band.GHZ_2_4 else "the pages 28 to 31"
            mend = self.other_band or f"{self.band} has {own}"
            self._problem("page", f"page {page} is not of {self.band}", mend)
            return None
        if number is None:
            channel = DEFAULT_CHANNELS[self.band] if page is None else default_channel_of_page(page)
        elif (found := self._numbered(page, number)) is not None:
            channel = found
        else:
            return None
        return self._usable("page" if number is None else "channel", channel)

    def _from_frequency(
        self, frequency: Channel, page: int | None, number: int | None
    ) -> Channel | None:
        for key, value in (("channel", number), ("page", page)):
            if value is not None:
                self._problem(
                    "frequency",
                    f"the channel is told twice: by 'frequency', which is {frequency}, and by "
                    f"{key!r}, which is {value}",
                    f"keep 'frequency' or {key!r}",
                )
                return None
        if frequency.band is not self.band:
            self._problem(
                "frequency",
                f"{frequency} is not of {self.band}",
                self.other_band or f"write a frequency of {self.band}",
            )
            return None
        return self._usable("frequency", frequency)

    def _numbered(self, page: int | None, number: int) -> Channel | None:
        try:
            if page is None:
                return Channel.from_number(self.band, number)
            return Channel(page, number)
        except ValueError:
            pass
        if self.band is Band.GHZ_2_4:
            self._problem(
                "channel",
                f"there is no channel {number} on 2.4 GHz",
                "channels 11 to 26 are possible",
            )
            return None
        assert page is not None  # every number that the file may have is on one of the pages
        elsewhere = Channel.from_number(self.band, number)
        self._problem(
            "channel",
            f"page {page} has no channel {number}",
            f"its channels are {channel_numbers(page)}; {number} is on page {elsewhere.page}",
        )
        return None

    def _usable(self, key: str, channel: Channel) -> Channel:
        if not channel.used_in_gb:
            self._problem(
                key,
                f"{channel} is not one of the channels that GB hubs use",
                f"of page {channel.page} they use {channel_numbers(channel.page, used_in_gb=True)}:"
                " a device for GB may not look for its network here",
                ProblemSeverity.WARNING,
            )
        return channel

    def _problem(
        self,
        key: str,
        what: str,
        mend: str,
        severity: ProblemSeverity = ProblemSeverity.ERROR,
    ) -> None:
        place = (*self.place, key)
        self.problems.append(self.document.problem(place, what, mend, severity=severity))
