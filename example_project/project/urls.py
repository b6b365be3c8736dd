"""URLs of the example: the library at the root, Django's admin, archives in the background."""

from __future__ import annotations

from django.conf import settings
from django.conf.urls.static import static
from django.contrib import admin
from django.urls import include, path

admin.site.site_header = "Örö field station"
admin.site.site_title = "Örö field station"
admin.site.index_title = "Document library"

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("library.urls")),
    # Only while DEBUG is on: the admin links to a document's file.
    *static(settings.MEDIA_URL, document_root=settings.MEDIA_ROOT),
]

if settings.BACKGROUND:
    urlpatterns += [path("exports/", include("django_stream_zip.exports.urls"))]
