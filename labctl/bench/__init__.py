"""Bench testing: a person at a bench, a live view, a verdict.

`board` follows the events and knows what there is to show; `live` draws it on a terminal, `plain`
prints lines where there is none; `run` is the bench run itself.
"""
