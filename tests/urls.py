"""URLs of the test project."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from django_stream_zip.exports import ZipExportView


class TitleExport(ZipExportView):
    """Has the documents of a title prepared."""

    recipe = "documents"
    filename = "Dokumente ä.zip"


urlpatterns = [
    path("admin/", admin.site.urls),
    path("exports/", include("django_stream_zip.exports.urls")),
    path("documents/<str:title>/", TitleExport.as_view(), name="documents-export"),
]
