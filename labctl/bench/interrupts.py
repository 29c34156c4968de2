"""Ctrl-C in good order."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interrupts(enough: asyncio.Event) -> Iterator[None]:
    """SIGINT and SIGTERM end the run in good order, from before the rig is opened on.

    A second one ends the process; the run is then closed when the rig is used next.
    """
    loop = asyncio.get_running_loop()

    def ask(signal_number: signal.Signals) -> None:
        enough.set()
        loop.remove_signal_handler(signal_number)

    caught = (signal.SIGINT, signal.SIGTERM)
    for number in caught:
        loop.add_signal_handler(number, ask, number)
    try:
        yield
    finally:
        for number in caught:
            loop.remove_signal_handler(number)
