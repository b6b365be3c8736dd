"""Mails about archives that are ready. This demo's mails are printed where it runs."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.dispatch import receiver
from django.utils import timezone

from django_stream_zip.exports import ZipExport, zip_export_ready

# The link has a line of its own: one that is too long for a mail's lines is broken.
TEXT = """\
You can download {filename} until {until:%d %B %Y}:

{site}{page}
"""


@receiver(zip_export_ready)
def tell(export: ZipExport, **kwargs: Any) -> None:
    """Send the owner a link to the page: who may have the archive is asked there."""
    text = TEXT.format(
        filename=export.filename,
        # The day of the page, which shows the time of TIME_ZONE.
        until=timezone.localtime(export.expires),
        site=settings.SITE_URL,
        page=export.get_absolute_url(),
    )
    export.owner.email_user(f"{export.filename} is ready", text)
