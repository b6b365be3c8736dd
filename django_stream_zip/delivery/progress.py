"""What a download is to send, and how far it has come."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

from django_stream_zip.delivery.ranges import Range
from django_stream_zip.planning.plan import Plan


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be sent: decided before the response exists, and never changed.

    Without a `plan`, nothing is known of the archive; without a `content_range`, all of it is sent.
    """

    request: HttpRequest
    filename: str
    plan: Plan | None = None
    content_range: Range | None = None
    content_type: str = "application/zip"

    @property
    def is_headers_only(self) -> bool:
        """Whether nothing is asked for but the headers."""
        return self.request.method == "HEAD"

    @property
    def entity_tag(self) -> str | None:
        """The archive's entity tag: with one, any window of its bytes can be made."""
        return None if self.plan is None else self.plan.entity_tag

    @property
    def length(self) -> int | None:
        """Number of bytes to be sent, None if it isn't known."""
        if self.content_range is not None:
            return self.content_range.stop - self.content_range.start
        return None if self.plan is None else self.plan.length

    def values(self) -> dict[str, Any]:
        """Return what both signals report."""
        return {
            "request": self.request,
            "filename": self.filename,
            "length": self.length,
            "content_range": self.content_range,
        }


class Progress:
    """What was sent so far, since the download started: members begun, bytes and seconds."""

    def __init__(self) -> None:
        self.member: str | None = None
        self.members = 0
        self.bytes_sent = 0
        self._started = time.monotonic()

    def begin(self, member: str) -> None:
        """Count a member that is begun."""
        self.members += 1
        self.member = member

    def count(self, block: bytes) -> None:
        """Count the bytes of a block that is sent."""
        self.bytes_sent += len(block)

    def values(self, *, is_complete: bool) -> dict[str, Any]:
        """Return what `zip_download_finished` reports beside the order."""
        return {
            "completed": is_complete,
            "bytes_sent": self.bytes_sent,
            "seconds": time.monotonic() - self._started,
            "members": self.members,
        }
