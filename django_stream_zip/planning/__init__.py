"""What is known of an archive before it is sent: its length, its entity tag, any window of it."""

from __future__ import annotations
