"""SQLite: schema and migrations, the recorder, queries.

`Recorder` writes what the event bus carries; `queries` reads it for reports and verdicts.
"""
