"""A rig without hardware: virtual air, NCPs and devices, reached through a serial path alone."""
