"""Inventory and rig files: what exists, and which role it plays."""
