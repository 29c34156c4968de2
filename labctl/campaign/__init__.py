"""The acceptance campaign: cases that are tried on a rig's devices, and what each came to.

A case is an ordinary pytest test of this package's plugin. It says before it starts what it needs
and what it will measure, with unit and limits (`case.py`); it is played on an open rig (`stage.py`)
with the device under test in hand (`subject.py`); what came of it is a verdict that keeps the
device's faults apart from the rig's (`play.py`), and goes into the record.
"""
