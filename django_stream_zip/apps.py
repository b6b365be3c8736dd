"""The app's configuration, which Django finds through INSTALLED_APPS."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks

__all__ = ["DjangoStreamZipConfig"]


class DjangoStreamZipConfig(AppConfig):
    """The app: system checks, management commands, translations."""

    name = "django_stream_zip"
    verbose_name = "Streaming ZIP downloads"

    def ready(self) -> None:
        """Register the system checks."""
        from django_stream_zip.checks import check_settings

        checks.register(check_settings)
