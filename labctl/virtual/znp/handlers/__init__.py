"""What the firmware does, a module for each part; a handler bears the name of its frame."""
