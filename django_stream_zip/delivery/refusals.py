"""Downloads that are refused before the first byte: which errors these are, and what is said."""

from __future__ import annotations

import logging
from typing import Final

from django.utils.translation import gettext as _

from django_stream_zip.members import DownloadTooLargeError

__all__ = ["REFUSALS", "explain"]

logger = logging.getLogger("django_stream_zip")

#: What builders and `zip_response` raise where a download can't be had.
REFUSALS: Final = (DownloadTooLargeError, FileNotFoundError)


def explain(error: Exception) -> str:
    """Return what the client may read of a refusal, in the active language.

    A missing file's path is not for the client: it is logged.
    """
    if isinstance(error, DownloadTooLargeError):
        return error.client_text
    logger.warning("a download is not found: %s: %r", type(error).__name__, str(error))
    return _("A file of this download is missing.")
