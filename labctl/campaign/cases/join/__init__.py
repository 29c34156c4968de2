"""Joining: who gets in, and who does not."""
