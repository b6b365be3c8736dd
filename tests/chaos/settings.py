"""Settings of the site that the chaos run downloads from; each server has some of its own."""

from __future__ import annotations

import os

from tests.servers.settings import *  # noqa: F403

ROOT_URLCONF = "tests.chaos.site"
MIDDLEWARE: list[str] = []

_SHARED = {
    "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
    "LOCATION": os.environ.get("CHAOS_CACHE"),
    "OPTIONS": {"MAX_ENTRIES": 100_000},
}
CACHES = {"default": _SHARED if _SHARED["LOCATION"] else {"BACKEND": "tests.chaos.site.FlakyCache"}}
DJANGO_STREAM_ZIP = {"WORKERS": int(os.environ.get("CHAOS_WORKERS", "0"))}
