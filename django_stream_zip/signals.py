"""Signals that tell of downloads. Receivers can't stop one: what they raise is logged.

`zip_download_started`, before the first byte: `request`, `filename`, `length` (bytes to be sent,
None if not known) and `content_range` (start and stop among the archive's bytes, None for all).

`zip_download_finished`, in the end: the same, and `completed`, `bytes_sent`, `seconds` and
`members` (how many were begun). An error, or a client who goes away, leaves it not completed.

What counts is what was handed to the server: the last half mebibyte may still be on its way.

The sender is the class `Download`, or `AsyncDownload`. Under ASGI both come from the thread that
makes the archive.
"""

from __future__ import annotations

from django.dispatch import Signal

zip_download_started = Signal()
zip_download_finished = Signal()
