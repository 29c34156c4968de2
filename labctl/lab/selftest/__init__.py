"""Trying out one stick, with no device near it, and a report to send in."""
