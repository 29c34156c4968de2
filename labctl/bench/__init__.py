"""Bench testing: a person at a bench, a live view, a verdict."""
