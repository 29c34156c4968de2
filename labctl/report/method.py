"""How the numbers of a report were got, in words. Thresholds come from the limits in force."""

from __future__ import annotations

from dataclasses import dataclass

from labctl.events import Band
from labctl.record.compliance import RECOVERY_US, SETTLING_US
from labctl.record.sensitivity import GOOD_MARGIN_DB, LEAST_MARGIN_DB, sensitivity
from labctl.record.verdict import Limits
from labctl.report.formats import duration, number

_SENSITIVITIES = " and ".join(
    f"{number(sensitivity(band.value).dbm)} dBm at {band.value}" for band in Band
)


@dataclass(frozen=True, slots=True)
class Paragraph:
    """One matter, with a short title."""

    title: str
    text: str


def method(limits: Limits, *, simulated: bool) -> list[Paragraph]:
    """The paragraphs of the method section."""
    settling, recovery = f"{SETTLING_US // 60_000_000} min", f"{RECOVERY_US // 60_000_000} min"
    found = [
        Paragraph(
            "Verdict.",
            "The worst finding decides, in the order fail, infrastructure error, incomplete,"
            " marginal, pass. A schedule fails when more than"
            f" {limits.missed_fail * 100:g} % of the reads that were due (and at least three) were"
            f" missed, and is marginal above {limits.missed_marginal * 100:g} % (and at least two)"
            f" or when more than {limits.unpunctual_marginal * 100:g} % of its intervals lie"
            f" outside the tolerance. It is not judged before {limits.least_due} reads were due."
            " No published figures exist for these limits: they are a proposal, and settings.",
        ),
        Paragraph(
            "Reads.",
            "The hub counts what reaches it. The span runs from a device's first read to the end"
            f" of the run; when the first read came later than one period and {settling} after the"
            " device was authorised, it runs from there. A read is missed when an interval is long"
            " enough for it to have fallen inside. A request that is lost on the air looks the"
            " same to the hub as one that was never made, so a few single misses may be the"
            " link's. The bound given with 95 % confidence is Clopper and Pearson's, one-sided,"
            " and takes reads as independent; misses that come in one long gap are not.",
        ),
        Paragraph(
            "Gaps.",
            "A missed read does not count against the device when it was due during an outage of"
            f" the rig itself, or within {recovery} after it, since a device rejoins at most every"
            " quarter of an hour. A gap is put down to infrastructure when that is true of all its"
            " reads. Unexplained means only that nothing else was recorded at that time.",
        ),
        Paragraph(
            "Link quality.",
            "To hub is what the hub's radio measured on frames from the device; from hub is what"
            " the device reported, or its simulation measured. RSSI is whole dBm: median and 10th"
            " percentile by nearest rank, never a mean. Frames that were lost have no RSSI, so the"
            " worst moments are missing from it. LQI is not standardised: compare it within one"
            " radio and firmware only.",
        ),
        Paragraph(
            "Margin and delivery.",
            "The margin is the 10th percentile above the sensitivity of whoever listens: what the"
            " maker states where the model is known, else the usual figure of the band"
            f" ({_SENSITIVITIES}; at 868 MHz an estimate). From {GOOD_MARGIN_DB} dB it is called"
            f" good, from {LEAST_MARGIN_DB} dB marginal: a proposal, since no figure is published."
            " Delivered to hub is the share of the scheduled reads that came, those excused that"
            " fell into outages, suspensions or times unpaired; delivered from hub is the share of"
            " its unicasts, or of its answers, that were acknowledged. Both are after retries of"
            " MAC and APS, which hide loss. The noise floor is the median of energy scans.",
        ),
        Paragraph(
            "Airtime.",
            "Transmission in a sliding hour, in 13 buckets of 5 minutes (Zigbee R22, annex D),"
            " computed from the lengths of frames, acknowledgements and retries where they are"
            " known; of devices only what the hub heard. What the firmware counts is shown beside"
            " it. A forecast goes on as the traffic did when it was made. A device that was told to"
            " be silent is not held to account for the reads of that time.",
        ),
        Paragraph(
            "Joins.",
            "Times are the hub's, from what its radio reported. Each bar runs from the step before"
            " to the moment at which the hub saw the step done.",
        ),
        Paragraph(
            "Not shown.",
            "What the device displayed to its user, frames that reached no radio of this rig, and"
            " anything a bench cannot tell about range in a home.",
        ),
    ]
    if simulated:
        found.insert(
            0,
            Paragraph(
                "Simulated.",
                "The radio's firmware, the air and the devices were programs. Path loss, fading"
                " and losses are assumptions made for tests; times are on the simulated clock.",
            ),
        )
    return found


_OF_BENCHES = frozenset({"Verdict.", "Reads.", "Gaps."})


def campaign_method(limits: Limits, *, simulated: bool) -> list[Paragraph]:
    """The same for a campaign, whose verdict is that of its cases."""
    found = [
        Paragraph(
            "Verdict.",
            "The last attempt at each case says what it came to; of those that count the worst"
            " decides, in the order fail, infrastructure error, incomplete, marginal, pass. What a"
            " case measures and where the limits are is said before it is played: beyond the"
            " limits it fails, between them and the inner ones it is marginal. A case that failed"
            " first and passed then is marginal. What was found while a radio was lost, and not on"
            " purpose, is an infrastructure error and no device's. A case in quarantine that does"
            " not pass does not count.",
        ),
        Paragraph(
            "Evidence.",
            "Joins, reads, refusals and outages stand with every attempt in whose time they fell,"
            " and need not have to do with it. Cases that look at a time of watching share it."
            " Captures have what was on the air from ten seconds before an attempt that did not"
            " pass, as a sniffer beside the hub would hear it; of a long one the last part. Frames"
            " are numbered as Wireshark does.",
        ),
    ]
    common = method(limits, simulated=simulated)
    first = [p for p in common if p.title == "Simulated."]
    return [*first, *found, *(p for p in common if p not in first and p.title not in _OF_BENCHES)]


def certainty_text(verdict: str, certainty: str | None) -> str:
    """The certainty of a verdict as it stands beside it; an incomplete run claims nothing."""
    if verdict == "incomplete":
        return ""
    return {
        "sure": "sure: the evidence allows no other reading",
        "fairly sure": "fairly sure: another reading is possible, but unlikely",
        "not sure": "not sure: look at the reasons before acting on it",
    }.get(certainty or "", "")


def bucket_text(us: int) -> str:
    """The width of a time bucket, for `each …`."""
    text = duration(us)
    return text.replace(" min 00 s", " min").replace(" h 00 min", " h").replace(".0 s", " s")
