"""Radios: the `Coordinator` interface and its implementations."""
