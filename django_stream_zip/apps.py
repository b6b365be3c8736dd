"""The app, for INSTALLED_APPS."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks


class DjangoStreamZipConfig(AppConfig):
    """Streaming ZIP downloads."""

    name = "django_stream_zip"
    verbose_name = "Streaming ZIP downloads"

    def ready(self) -> None:
        """Register the system checks."""
        from django_stream_zip.checks import check_settings

        checks.register(check_settings)
