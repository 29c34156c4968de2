"""JUnit XML of a campaign, for CI systems.

It keeps to the strictest of the schemas in use, Windy Road's JUnit.xsd (the format of Ant's
XMLJUnitResultFormatter): suites with id and package; in a suite properties, test cases, system-out
and system-err, in this order; in a test case one of failure, error and skipped, or none. What a
test case has to say besides stands in the text of that element, and in the suite's system-out.

A suite is a device. Names are the same every night, so that CI systems keep their history: the
class is the rig and the device, the test is the case.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

from labctl.events import CaseOutcome
from labctl.record.rows import Device, RunData
from labctl.report.cases import THE_RIG, Tried, frames_text, measured_text, rig_troubles, tried
from labctl.report.formats import instant, iso, words

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, not even escaped."""


def junit(data: RunData) -> str:
    """The file's text. A run that did not come to any case still has the rig's own test."""
    cases = tried(data)
    root = ElementTree.Element("testsuites")
    troubles = rig_troubles(data, cases)
    _suite(root, data, THE_RIG, None, [one for one in cases if one.device_id is None], troubles)
    for device in data.devices:
        own = [one for one in cases if one.device_id == device.id]
        if own:
            _suite(root, data, device.label, device, own, None)
    ElementTree.indent(root, " ")
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        + ElementTree.tostring(root, encoding="unicode")
        + "\n"
    )


def _suite(
    root: ElementTree.Element,
    data: RunData,
    name: str,
    device: Device | None,
    cases: list[Tried],
    troubles: list[str] | None,
) -> None:
    """A suite; `troubles` are the rig's own, in the suite that is the rig's."""
    rig = _token(data.run.rig)
    suite = ElementTree.SubElement(root, "testsuite")
    properties = ElementTree.SubElement(suite, "properties")
    for key, value in _properties(data, device):
        ElementTree.SubElement(properties, "property", name=key, value=_text(value))
    if troubles is not None:
        own = _case(suite, f"{rig}.{THE_RIG}", "rig", 0)
        if troubles:
            _said(own, "error", troubles[0], "infrastructure-error", "\n".join(troubles))
    said = []
    for one in cases:
        element = _case(suite, f"{rig}.{_token(name)}", _token(one.case), one.took_us)
        lines = "\n".join(_lines(one))
        said.append(lines)
        kind, message = _element_of(one)
        if kind == "skipped":
            _said(element, kind, message, None, lines)
        elif kind:
            _said(element, kind, message, one.outcome.value, lines)
    found = [child.tag for case in suite.findall("testcase") for child in case]
    suite.attrib.update(
        {
            "name": _token(name),
            "package": rig,
            "id": str(len(root) - 1),
            "timestamp": instant(data.run.started_us).strftime("%Y-%m-%dT%H:%M:%S"),
            "hostname": _token(data.run.host),
            "tests": str(len(suite.findall("testcase"))),
            "failures": str(found.count("failure")),
            "errors": str(found.count("error")),
            "skipped": str(found.count("skipped")),
            "time": _seconds(sum(one.took_us for one in cases)),
        }
    )
    ElementTree.SubElement(suite, "system-out").text = _text("\n\n".join(said))
    ElementTree.SubElement(suite, "system-err")


def _case(suite: ElementTree.Element, group: str, name: str, took_us: int) -> ElementTree.Element:
    return ElementTree.SubElement(
        suite, "testcase", classname=group, name=name, time=_seconds(took_us)
    )


def _said(case: ElementTree.Element, tag: str, message: str, kind: str | None, text: str) -> None:
    element = ElementTree.SubElement(case, tag, message=_text(message))
    if kind is not None:
        element.set("type", kind)
    element.text = _text(text)


def _element_of(one: Tried) -> tuple[str, str]:
    """Which element says what it came to, and the message; "" for one that passed."""
    cause = one.last.cause or words(one.outcome.value)
    if one.excused:
        return "skipped", f"in quarantine ({one.last.quarantine}): {cause}"
    if one.outcome in (CaseOutcome.PASS, CaseOutcome.MARGINAL):
        return "", ""
    if one.outcome is CaseOutcome.FAIL:
        return "failure", cause
    if one.outcome is CaseOutcome.INFRASTRUCTURE_ERROR:
        return "error", cause
    return "skipped", f"{words(one.outcome.value)}: {cause}"


def _properties(data: RunData, device: Device | None) -> list[tuple[str, object]]:
    run = data.run
    found: list[tuple[str, object]] = [
        ("rig", run.rig),
        ("run", run.id),
        ("verdict", run.verdict or "not ended"),
        ("simulated", "yes" if run.simulated else "no"),
        ("labctl", run.labctl_version),
        ("config_sha256", run.config_sha256),
    ]
    if data.campaign is not None:
        found += [("hub", data.campaign.generation), ("meters", data.campaign.meters)]
        if data.campaign.seed is not None:
            found.append(("seed", data.campaign.seed))
        if data.campaign.selection:
            found.append(("selection", data.campaign.selection))
    for radio in {radio.name: radio for radio in data.radios}.values():
        found += [
            (f"radio.{radio.name}.driver", radio.driver),
            (f"radio.{radio.name}.firmware", radio.firmware or "not told"),
            (f"radio.{radio.name}.band", radio.band),
        ]
    if device is not None:
        found += [
            ("device", device.label),
            ("device.kind", device.kind or "other"),
            ("device.address", device.eui64),
            ("device.model", " ".join(filter(None, (device.manufacturer, device.model)))),
            ("device.firmware", device.firmware_version or "not told"),
        ]
    return found


def _lines(one: Tried) -> list[str]:
    """What stands behind the outcome, for people."""
    lines = [f"{one.case} {one.title}"]
    for attempt in one.attempts:
        lines.append(
            f"attempt {attempt.attempt}: {words(attempt.outcome)}, {iso(attempt.started_us)} to"
            f" {iso(attempt.ended_us)}" + (f": {attempt.cause}" if attempt.cause else "")
        )
        lines += [f"  {measured_text(measured)}" for measured in attempt.measurements]
        if attempt.capture is not None:
            lines.append(f"  on the air: {frames_text(attempt.capture)}")
    return lines


def _seconds(us: int) -> str:
    return f"{us / 1e6:.3f}"


def _text(value: object) -> str:
    """Text without what XML cannot hold."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", str(value))


def _token(value: str) -> str:
    """The same in one line without blanks at its ends, and never empty (xs:token)."""
    return " ".join(_text(value).split()) or "-"
