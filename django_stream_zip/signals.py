"""Signals that report downloads. Receivers can't stop one: what they raise is logged.

`zip_download_started` is sent before the first byte, with `request`, `filename`, `length` (bytes to
be sent, None if not known) and `content_range` (start and stop among the archive's bytes, None for
all).

`zip_download_finished` is sent in the end, with the same, and `completed`, `bytes_sent`, `seconds`
and `members` (how many were begun). After an error, or when a client goes away, `completed` is
False.

Bytes count as sent when the server has them: the last mebibyte may still be on its way.

The sender is the class `Download`, or `AsyncDownload`. Under ASGI both come from the thread that
makes the archive.
"""

from __future__ import annotations

from django.dispatch import Signal

__all__ = ["zip_download_finished", "zip_download_started"]


def __dir__() -> list[str]:
    return __all__


#: Sent before the first byte.
zip_download_started = Signal()
#: Sent in the end, however that came.
zip_download_finished = Signal()
