"""The package behind real servers: they are started here, and asked over real sockets."""

from __future__ import annotations
