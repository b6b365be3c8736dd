"""Signals that report exports, once each: for a mail to the owner, for example.

`zip_export_ready` and `zip_export_failed` are sent with `export`, its row, by the process that was
last at it and in the language of the request. The sender is the model. What receivers raise is
logged.
"""

from __future__ import annotations

from django.dispatch import Signal

__all__ = ["zip_export_failed", "zip_export_ready"]

#: An archive can be downloaded.
zip_export_ready = Signal()
#: An archive could not be built; `export.error` says why.
zip_export_failed = Signal()
