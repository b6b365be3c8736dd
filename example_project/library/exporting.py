"""A folder that is prepared in the background, and the page with all that a user had prepared."""

from __future__ import annotations

from django.contrib.auth.mixins import LoginRequiredMixin
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.views.generic import ListView

from django_stream_zip.exports import ZipExport, ZipExportView
from library.models import Folder


class FolderExport(ZipExportView):
    """Has a folder prepared. Who isn't logged in does that first."""

    recipe = "folder"

    def get_filename(self) -> str:
        """Return the folder's name for the ZIP, the same as for its download."""
        return f"{get_object_or_404(Folder, slug=self.kwargs['slug']).name}.zip"


class MyExports(LoginRequiredMixin, ListView):
    """What the user had prepared, newest first. Rows that are worked on show that live."""

    template_name = "library/exports.html"
    context_object_name = "exports"
    paginate_by = 50

    def get_queryset(self) -> QuerySet[ZipExport]:
        """Return the user's own."""
        return ZipExport.objects.filter(owner=self.request.user)
