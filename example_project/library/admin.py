"""The library in Django's admin: where documents are added, replaced and removed."""

from __future__ import annotations

from django.conf import settings
from django.contrib import admin
from django.db.models import Count, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils import timezone

from library.models import Document, Folder
from library.views import MEMBER_OPTIONS

if settings.BACKGROUND:
    from django_stream_zip.exports.admin import ZipExportAdminMixin as ZipAdminMixin
else:
    from django_stream_zip.admin import ZipDownloadAdminMixin as ZipAdminMixin


@admin.register(Folder)
class FolderAdmin(ZipAdminMixin, admin.ModelAdmin):
    """Folders with the number of their documents, and ZIPs of these: downloaded or prepared."""

    zip_file_fields = ("documents__file",)
    zip_options = {
        "name": "{name}/{documents.name}",
        "size": "documents__size",
        "modified_at": "documents__uploaded_at",
    }

    list_display = ["name", "document_count", "description"]
    search_fields = ["name", "description"]
    prepopulated_fields = {"slug": ["name"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Folder]:
        """Count the documents in the query for the list."""
        return super().get_queryset(request).annotate(count=Count("documents"))

    @admin.display(description="documents", ordering="count")
    def document_count(self, folder: Folder) -> int:
        """Return how many documents are in the folder."""
        return folder.count


@admin.register(Document)
class DocumentAdmin(ZipAdminMixin, admin.ModelAdmin):
    """Documents, filtered by folder, type and date, and ZIPs of them."""

    zip_options = {**MEMBER_OPTIONS, "missing": "report"}

    list_display = ["title", "name", "folder", "content_type", "human_size", "uploaded_at"]
    list_filter = ["folder", "content_type", "uploaded_at"]
    list_select_related = ["folder"]
    search_fields = ["title", "name"]
    date_hierarchy = "uploaded_at"
    autocomplete_fields = ["folder"]
    readonly_fields = ["human_size"]

    @admin.display(description="size", ordering="size")
    def human_size(self, document: Document) -> str:
        """Return the size for people."""
        return filesizeformat(document.size)

    def save_model(
        self, request: HttpRequest, obj: Document, form: ModelForm, change: bool
    ) -> None:
        """Save a document: a file that replaces another one has its own name, type and date."""
        if change and "file" in form.changed_data:
            replaced = {"name": "", "content_type": "", "uploaded_at": timezone.now()}
            for field in replaced.keys() - set(form.changed_data):
                setattr(obj, field, replaced[field])
        super().save_model(request, obj, form, change)
