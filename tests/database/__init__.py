"""The database side: querysets, views of them, the admin, connections."""

from __future__ import annotations
