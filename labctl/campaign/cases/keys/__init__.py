"""Key establishment: what a device does when its hub is wrong."""
