"""Data: what devices read, how often, and what they make of it."""
