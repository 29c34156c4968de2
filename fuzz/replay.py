"""Go through a journal again, in a fresh world, with everything told.

    python -m fuzz.replay FILE [--arrivals]

Prints what is found, with its traceback, and with `--arrivals` what the batches are made of.
Exit code 0: nothing was found.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

from fuzz.arrivals import decode
from fuzz.journal import read, replay


def main(arguments: list[str]) -> int:
    """Replay the file that is named."""
    names = [word for word in arguments if not word.startswith("--")]
    if len(names) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    attacker, batches = read(Path(names[0]))
    if "--arrivals" in arguments:
        for number, batch in enumerate(batches):
            for arrival in decode(batch):
                print(number, arrival.what.name, arrival.whom.name, arrival)
    finding = replay(batches, attacker)
    if finding is None:
        print(f"{len(batches)} batches of a {attacker}, nothing found")
        return 0
    traceback.print_exception(finding)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
