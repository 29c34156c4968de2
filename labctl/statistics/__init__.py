"""What numbers may be said to show: intervals, probe plans, drift between nights, flakes.

Pure values: no I/O, no clock, no database. Whoever has numbers (a run's record, a campaign's
nights, a survey's probes) asks here what they allow to be said, and with what certainty. The words
that a person reads (verdicts, findings) are made from these values elsewhere.
"""
