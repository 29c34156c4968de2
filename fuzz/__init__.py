"""Malformed traffic at a whole hub, and malformed octets at every decoder.

`python -m fuzz.run` is what `make fuzz` calls; docs/fuzzing.md says what is checked and how a
failure is replayed. Only `fuzz.coverage_guided` needs atheris.
"""
