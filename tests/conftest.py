"""What all tests share: how long and how much hypothesis tries."""

from __future__ import annotations

import os

from hypothesis import settings

# No deadline: the time an example takes says more about the machine than about the code.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=False, max_examples=50)
settings.load_profile("ci" if os.environ.get("CI") else "default")
