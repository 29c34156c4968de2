"""The virtual air: carries real 802.15.4 frames between the radios that hear them.

CONTRACT (agreed before the implementation): `Air(rng=..., propagation=...)`, `air.attach(...)`,
`air.capture_to(...)`. The rest is the implementer's.
"""

from __future__ import annotations


class Air:
    """One room's worth of radio waves."""
