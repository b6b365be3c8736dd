"""The sample library: what `manage.py demo` fills the example with, made by code alone."""

from __future__ import annotations
