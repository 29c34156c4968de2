"""Record what virtual devices of all kinds send, each shape of request once.

python -m fuzz.record       writes fuzz/seeds.txt anew
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path
from typing import Final

from fuzz.seeds import RECORDED, line_of
from labctl.cli.main import main as labctl
from labctl.hub import Hub
from labctl.radio.coordinator import Incoming
from labctl.smart_energy.install_code import InstallCode

_PROJECT: Final = Path(__file__).resolve().parent.parent
_MORE_KINDS: Final = ("ppmid", "load-switch", "hand-held-terminal")
_LONGEST: Final = 60
"""Certificates are longer: the fuzzer's own devices bring theirs."""


def main() -> int:
    """Run a bench and write down what came."""
    lines: dict[tuple[int, int, int, bytes], str] = {}
    received = Hub.packet_received

    def record(self: Hub, packet: Incoming) -> None:
        at = 1 if packet.profile_id == 0 else 2
        shape = packet.data[: at - 1] + packet.data[at:]  # without the sequence number
        if len(packet.data) < _LONGEST:
            key = packet.profile_id, packet.cluster_id, packet.destination_endpoint, shape
            lines.setdefault(key, line_of(packet))
        received(self, packet)

    Hub.packet_received = record  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        rig = _lab(Path(folder))
        labctl(["bench", str(rig), "--for", "1h", "--plain", "--quiet"])
    if not lines:
        print("nothing was recorded", file=sys.stderr)
        return 1
    head = "# profile cluster endpoint source flags(e: APS encrypted, b: broadcast) data\n"
    RECORDED.write_text(head + "".join(f"{line}\n" for line in lines.values()))
    return 0


def _lab(folder: Path) -> Path:
    """The project's virtual rig with a device of each further kind."""
    rng = random.Random(1)
    inventory = (_PROJECT / "inventory.yaml").read_text()
    rig = (_PROJECT / "rigs" / "virtual.yaml").read_text()
    devices, roles = "", ""
    for number, kind in enumerate(_MORE_KINDS):
        code = InstallCode.from_octets_without_crc(rng.randbytes(16)).octets.reveal().hex()
        devices += (
            f"  more-{kind}:\n    kind: {kind}\n    eui64: 00:00:5e:ef:10:00:01:0{number}\n"
            f'    install_code: "{code}"\n    virtual: {{position: [1.0, 1.0, 0.0], suites: [2]}}\n'
        )
        roles += f"  - device: more-{kind}\n"
    inventory = inventory.replace("\ndevices:\n", "\ndevices:\n" + devices)
    rig = rig.replace("\ndevices:\n", "\ndevices:\n" + roles)
    (folder / "inventory.yaml").write_text(inventory)
    (folder / "virtual.yaml").write_text(rig)
    return folder / "virtual.yaml"


if __name__ == "__main__":
    sys.exit(main())
