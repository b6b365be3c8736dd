"""The app, for INSTALLED_APPS."""

from __future__ import annotations

from django.apps import AppConfig


class DjangoStreamZipConfig(AppConfig):
    """Streaming ZIP downloads."""

    name = "django_stream_zip"
    verbose_name = "Streaming ZIP downloads"
