"""Contents fetched before their turn, and synchronous ones pulled from an event loop."""

from __future__ import annotations
