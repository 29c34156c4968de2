"""What all tests share: how hypothesis looks for examples.

In CI the examples are the same each time, so that a red run is about the change under test. At a
desk they are new each time; what they find is printed with the line that reproduces it.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("ci", derandomize=True, print_blob=True)
settings.register_profile("desk", print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "desk")
