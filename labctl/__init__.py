"""labctl: a GB smart-metering communications hub made of a USB stick, for testing devices.

The house has one sentence: a rig file names a hub, its radios and the devices under test; the
hub drives a coordinator; whatever happens on the home area network is an event; the recorder
writes events into SQLite; reports read SQLite and nothing else. `docs/architecture.md` has the
rooms and who may import whom.
"""

__version__ = "0.1.0"
