"""Archives saved into storages: whole, or not at all."""

from __future__ import annotations
