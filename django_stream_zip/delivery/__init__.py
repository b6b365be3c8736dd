"""One download, made step by step under WSGI and ASGI."""

from __future__ import annotations
