"""Meters behind the hub: their state as a function of time."""
