"""The page with all documents, and the two downloads: a selection, or a whole folder."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib import messages
from django.db.models import Count, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from django_stream_zip.members import field_member
from django_stream_zip.views import ZipDownloadView
from library.models import Document, Folder
from library.names import distinct_name


def index(request: HttpRequest) -> HttpResponse:
    """All folders with their documents, each with a box to tick."""
    folders = Folder.objects.annotate(count=Count("documents"), size=Sum("documents__size"))
    folders = folders.order_by("name").prefetch_related("documents")
    return render(request, "library/index.html", {"folders": folders})


def not_found(request: HttpRequest, reason: str) -> HttpResponse:
    """A page that says what is missing and leads back to the library."""
    return render(request, "library/not_found.html", {"reason": reason}, status=404)


def document_members(documents: Iterable[Document]) -> list:
    """One ZIP member for each document, in a folder named like the library's."""
    taken: set[str] = set()
    return [
        field_member(
            document.file,
            name=distinct_name(f"{document.folder.name}/{document.name}", taken),
            size=document.size,
            modified_at=document.uploaded_at,
        )
        for document in documents
    ]


class SelectedDocuments(ZipDownloadView):
    """The ticked documents.

    A GET with the ids in the address, so that it is a plain link: a browser can resume it, and
    people can bookmark it.
    """

    filename = "documents.zip"

    def dispatch(self, request: HttpRequest, *args, **kwargs) -> HttpResponse:
        """Refuse what cannot be sent while that can still be said on a page."""
        ids = set(request.GET.getlist("ids"))
        if not ids:
            messages.warning(request, "Nothing was selected: tick at least one document.")
            return redirect("library:index")
        self.documents = find_documents(ids)
        if len(self.documents) != len(ids):
            return not_found(request, "Some of the documents in this link are not in the library.")
        return super().dispatch(request, *args, **kwargs)

    def get_members(self) -> list:
        """The documents that were found."""
        return document_members(self.documents)


def find_documents(ids: set[str]) -> list[Document]:
    """The documents with these ids, fewer of them where an id is no number or unknown."""
    # Short ones only: a number beyond the database's integers is an error there.
    numbers = [int(text) for text in ids if text.isdecimal() and len(text) < 19]
    return list(Document.objects.filter(pk__in=numbers).select_related("folder"))


class FolderDownload(ZipDownloadView):
    """All documents of one folder."""

    def dispatch(self, request: HttpRequest, *args, **kwargs) -> HttpResponse:
        """Find the folder first: the name of the ZIP is its name."""
        self.folder = Folder.objects.filter(slug=kwargs["slug"]).first()
        if self.folder is None:
            return not_found(request, "There is no such folder in the library.")
        return super().dispatch(request, *args, **kwargs)

    def get_filename(self) -> str:
        """The ZIP is called like the folder."""
        return f"{self.folder.name}.zip"

    def get_members(self) -> list:
        """Everything in the folder."""
        return document_members(self.folder.documents.select_related("folder"))
