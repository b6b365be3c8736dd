"""The library app: folders of documents, and their download as ZIP."""

from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings


class LibraryConfig(AppConfig):
    """Names the app in the admin."""

    name = "library"
    verbose_name = "Document library"

    def ready(self) -> None:
        """Connect what sends mails."""
        if settings.BACKGROUND:
            from library import notices  # noqa: F401
