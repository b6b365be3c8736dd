"""A site of the admin whose archives are prepared in the background."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.urls import include, path

from django_stream_zip.exports import ZipExport
from django_stream_zip.exports.admin import ZipExportAdmin, ZipExportAdminMixin
from tests.models import Document

site = admin.AdminSite("archivists")
site.register(ZipExport, ZipExportAdmin)


@admin.register(Document, site=site)
class DocumentAdmin(ZipExportAdminMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    """Documents that their owner may see, no more than two at a time."""

    zip_limit = 2

    def get_queryset(self, request: Any) -> Any:
        return super().get_queryset(request).filter(owner=request.user)


urlpatterns = [
    path("admin/", site.urls),
    path("exports/", include("django_stream_zip.exports.urls")),
]
