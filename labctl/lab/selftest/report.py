"""The report of a trial, to be sent in: Markdown for people, JSON for programs.

It says what kind of stick it was and what it did; not which one: no serial number, no whole
address, no network ids, no keys.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labctl import __version__
from labctl.errors import ConfigurationError
from labctl.files import replace_file
from labctl.lab.selftest.steps import Outcome, Step
from labctl.lab.survey import Row

FORMAT = "labctl.selftest/1"
_MARKS = {
    Outcome.PASS: "pass",
    Outcome.DOUBTFUL: "**doubtful**",
    Outcome.FAIL: "**FAIL**",
    Outcome.SKIPPED: "skipped",
}


@dataclass(frozen=True, slots=True)
class Report:
    """What came of one trial. `at_us` is UTC, microseconds."""

    row: Row
    steps: Sequence[Step]
    at_us: int
    versions: str

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return all(step.outcome is not Outcome.FAIL for step in self.steps)

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        port = self.row.port
        probed = self.row.probed
        return {
            "format": FORMAT,
            "labctl": __version__,
            "at": self._at,
            "passed": self.passed,
            "versions": self.versions,
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
            "stick": {
                "usb": f"{port.vid:04x}:{port.pid:04x}" if port.vid and port.pid else None,
                "manufacturer": port.manufacturer,
                "product": port.product,
                "has_serial_number": port.serial_number is not None,
                "over_network": port.is_network,
                "known_as": port.stick.name if port.stick else None,
                "driver": probed.driver.value if probed else None,
                "protocol": probed.protocol if probed else None,
                "firmware": probed.firmware if probed else None,
                "board": [probed.manufacturer, probed.model] if probed else None,
                "baudrate": probed.line.baudrate if probed else None,
                "flow_control": probed.line.flow_control.value if probed else None,
                "bands": [band.value for band in probed.bands] if probed else [],
                "key_table_size": probed.key_table_size if probed else None,
                "key_establishment": list(probed.key_establishment) if probed else [],
            },
            "steps": [{**asdict(step), "outcome": step.outcome.value} for step in self.steps],
        }

    @property
    def _at(self) -> str:
        return f"{datetime.fromtimestamp(self.at_us / 1e6, UTC):%Y-%m-%dT%H:%M:%SZ}"

    def as_markdown(self) -> str:
        """For people."""
        said = self.as_json()
        stick = said["stick"]
        board = " ".join(part for part in stick["board"] or () if part)
        facts = [
            ("stick", stick["known_as"] or stick["product"] or "not known by name"),
            ("USB", stick["usb"] or ("over the network" if stick["over_network"] else "none")),
            ("product", " ".join(filter(None, (stick["manufacturer"], stick["product"])))),
            ("board", board),
            ("speaks", ", ".join(filter(None, (stick["protocol"], stick["firmware"])))),
            ("line", f"{stick['baudrate']} bits/s, flow control {stick['flow_control']}"),
            ("system", said["system"]),
            ("software", said["versions"]),
        ]
        result = "passed" if self.passed else "FAILED"
        lines = [
            f"# labctl selftest: {result}",
            "",
            f"{said['at']}, labctl {said['labctl']}",
            "",
            "| | |",
            "|---|---|",
            *(f"| {name} | {_cell(text)} |" for name, text in facts if text),
            "",
            "| step | result | what was seen | s |",
            "|---|---|---|---|",
        ]
        for step in self.steps:
            evidence = _cell(step.evidence) + (f" → {_cell(step.mend)}" if step.mend else "")
            lines.append(
                f"| {step.title} | {_MARKS[step.outcome]} | {evidence} | {step.seconds:.1f} |"
            )
        lines += [
            "",
            "This report tells the kind of stick, not which one: it holds no serial number, no "
            "whole address, no network and no key.",
            "",
        ]
        return "\n".join(lines)

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """NAME.md and NAME.json in `folder`, which is made. Raises `ConfigurationError`."""
        markdown, data = folder / f"{name}.md", folder / f"{name}.json"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            replace_file(markdown, self.as_markdown())
            replace_file(data, json.dumps(self.as_json(), indent=2, ensure_ascii=False) + "\n")
        except OSError as error:
            raise ConfigurationError(
                f"the report cannot be written: {error.strerror}", where=str(folder)
            ) from error
        return markdown, data


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
