"""The shapes of a day: the share of the peak in each half-hour from midnight UTC, in per cent."""

from __future__ import annotations

LOAD_SHARES = (
    *(6, 5, 4, 3, 3, 3, 3, 3, 4, 6, 10, 18),
    *(32, 45, 52, 48, 40, 34, 30, 28, 27, 28, 30, 34),
    *(38, 36, 32, 30, 29, 30, 33, 40, 52, 68, 84, 96),
    *(100, 98, 92, 86, 80, 74, 66, 56, 44, 32, 20, 11),
)
"""A home: night, breakfast, working day, tea and evening."""

HEATING_SHARES = (
    *(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 30),
    *(88, 100, 92, 74, 50, 30, 18, 12, 8, 8, 8, 10),
    *(12, 10, 8, 8, 8, 10, 16, 32, 58, 80, 92, 96),
    *(90, 84, 78, 72, 66, 58, 48, 34, 18, 8, 2, 0),
)
"""A boiler with two periods on the timer, and hot water."""
