"""The app's configuration, which Django finds through INSTALLED_APPS."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy

__all__ = ["ZipExportsConfig"]


class ZipExportsConfig(AppConfig):
    """The app: a table of exports, pages for them, a command, system checks."""

    name = "django_stream_zip.exports"
    label = "zip_exports"
    verbose_name = gettext_lazy("ZIP exports")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Import the recipes of all apps, and register the system checks."""
        from django_stream_zip.exports.checks import check_exports
        from django_stream_zip.exports.cleaning import connect

        autodiscover_modules("zip_exports")
        connect()
        checks.register(check_exports)
