"""A chaos run: downloads that are cut, killed and resumed while their files change under them.

What arrives complete is one state of each file that was asked for, or the client saw a failure.

    python -m tests.chaos --downloads 10000 --server gunicorn --storage local --seed 1
"""

from __future__ import annotations
