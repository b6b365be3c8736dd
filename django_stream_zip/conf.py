"""The settings: one dict, `DJANGO_STREAM_ZIP`, read whenever a value is needed."""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings

SETTING: Final = "DJANGO_STREAM_ZIP"

#: Every key with its default.
DEFAULTS: Final[dict[str, Any]] = {
    # zlib's level for members that the builders deflate, -1 to 9: a download is made while
    # somebody waits, and level 9 takes several times as long for a percent or two.
    "COMPRESSION_LEVEL": 6,
    # Alias of the cache that keeps the CRC-32s learned while sending, for how many seconds (None:
    # as long as it can). No alias (None): a resumed download reads again what it needs to know.
    "CRC_32_CACHE": "default",
    "CRC_32_CACHE_TIMEOUT": 30 * 24 * 60 * 60,
}


def get(key: str) -> Any:
    """Give the value of a setting, or its default."""
    return getattr(settings, SETTING, {}).get(key, DEFAULTS[key])
