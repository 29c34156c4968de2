"""What the firmware does, split by idea. A handler bears the name of its frame.

Handlers take a frame's parameters by name and return the response's by name. They are synchronous:
EZSP answers every command at once, and what takes time ends in a callback.
"""
