"""Smart Energy as pure values: no I/O, no clock, no event loop."""
