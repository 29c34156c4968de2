"""Opening a rig: the one place where radio, hub, recorder and virtual bench are put together."""
