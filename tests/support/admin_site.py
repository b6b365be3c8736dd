"""A site of the admin: the mixin, the plain function, and a model admin without actions."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.urls import path

from django_stream_zip.admin import ZipDownloadAdminMixin, download_as_zip
from tests.models import Attachment, Document, Picture, Scan

site = admin.AdminSite()


@admin.register(Document, site=site)
class DocumentAdmin(ZipDownloadAdminMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    """The mixin, as little as one has to write."""

    list_display = ["title"]
    list_filter = ["folder"]
    list_per_page = 2
    ordering = ["title"]


@admin.register(Picture, site=site)
class PictureAdmin(ZipDownloadAdminMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    """The mixin with all it can be told, beside an action of the site's own."""

    actions = ["download_as_zip", "other"]
    zip_file_fields = ("original", "thumbnail")
    zip_filename = "photos.zip"
    zip_options = {"missing": "raise", "name": "{position}-{field}{ext}"}

    @admin.action(description="Other")
    def other(self, request: Any, queryset: Any) -> None:
        """Do nothing."""


@admin.register(Attachment, site=site)
class AttachmentAdmin(ZipDownloadAdminMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    """The mixin where there are to be no actions."""

    actions = None


@admin.register(Scan, site=site)
class ScanAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """The plain function."""

    actions = [download_as_zip]


urlpatterns = [path("admin/", site.urls)]
