"""The page with all documents, the two downloads (a selection, or a folder), and a folder saved."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.core.files.storage import default_storage
from django.db.models import Count, QuerySet, Sum
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.template.defaultfilters import filesizeformat, pluralize
from django.utils.cache import patch_vary_headers
from django.utils.html import format_html
from django.views.decorators.http import require_POST

from django_stream_zip.members import queryset_members
from django_stream_zip.response import ZipInfo, zip_info
from django_stream_zip.saving import save_zip
from django_stream_zip.views import SELECTION_PARAM, QuerySetZipDownloadView
from library.models import Document, Folder

# How documents become members of a ZIP: in a folder named like the library's, under the name they
# were uploaded with. The database has sizes and times, so the storage isn't queried for them.
MEMBER_OPTIONS = {"name": "{folder.name}/{name}", "size": "size", "modified_at": "uploaded_at"}


def index(request: HttpRequest) -> HttpResponse:
    """Show all folders with their documents, each with a checkbox."""
    folders = Folder.objects.annotate(count=Count("documents"), size=Sum("documents__size"))
    folders = folders.order_by("name").prefetch_related("documents")
    context = {"folders": folders, "place": settings.STORAGE_PLACE()}
    return render(request, "library/index.html", context)


def not_found(request: HttpRequest, reason: str) -> HttpResponse:
    """Show what is missing, and a link back to the library."""
    return render(request, "library/not_found.html", {"reason": reason}, status=404)


def announcement(filename: str, info: ZipInfo) -> str:
    """Say what a download sends, and whether it can be resumed, and why not."""
    files = f"{filename}: {info.members} file{pluralize(info.members)}"
    progress = "shows no progress and "
    if info.length is not None:
        files, progress = f"{files}, {filesizeformat(info.length)}", ""
    if info.is_resumable:
        return f"{files}. It can be resumed if it is interrupted."
    reasons = " ".join(reason.text for reason in info.reasons)
    return f"{files}. It {progress}can't be resumed if it is interrupted. {reasons}"


class AnnouncedMixin:
    """Answers with JSON where the page's script asks what is sent from the same URL."""

    def render_to_zip(self, request: HttpRequest, members: list) -> HttpResponseBase:
        """Answer with the archive, or with what there is to say of it."""
        if request.headers.get("Accept") == "application/json":
            text = announcement(self.get_filename(), zip_info(members))
            response = JsonResponse({"text": text})
        else:
            response = super().render_to_zip(request, members)
        patch_vary_headers(response, ["Accept"])
        return response


class SelectedDocuments(AnnouncedMixin, QuerySetZipDownloadView):
    """The download of the documents that were ticked.

    A GET with the ids in the URL is a plain link: browsers can resume it, people can bookmark it.
    """

    model = Document
    member_options = MEMBER_OPTIONS
    ids_param = "ids"
    filename = "documents.zip"

    def get(self, request: HttpRequest, *args, **kwargs) -> HttpResponse:
        """Answer with the archive, or with a page that says why there is none."""
        if not request.GET.keys() & {self.ids_param, SELECTION_PARAM}:
            messages.warning(request, "Nothing was selected: tick at least one document.")
            return redirect("library:index")
        try:
            return super().get(request, *args, **kwargs)
        except Http404:
            reason = "Some of the documents in this link are not in the library."
            return not_found(request, reason)


class FolderDownload(AnnouncedMixin, QuerySetZipDownloadView):
    """The download of all documents in one folder."""

    model = Document
    member_options = MEMBER_OPTIONS

    def dispatch(self, request: HttpRequest, *args, **kwargs) -> HttpResponse:
        """Find the folder first: the ZIP is named after it."""
        self.folder = Folder.objects.filter(slug=kwargs["slug"]).first()
        if self.folder is None:
            return not_found(request, "There is no such folder in the library.")
        return super().dispatch(request, *args, **kwargs)

    def get_queryset(self) -> QuerySet[Document]:
        """Return the documents in the folder."""
        return super().get_queryset().filter(folder=self.folder)

    def get_filename(self) -> str:
        """Return the folder's name for the ZIP."""
        return f"{self.folder.name}.zip"


@require_POST
@permission_required("library.add_document", raise_exception=True)
def save_folder(request: HttpRequest, slug: str) -> HttpResponse:
    """Save a folder as a ZIP beside the documents, and show a link to it.

    It takes as long as the files are large. A site with many of them does this in a task.
    """
    folder = Folder.objects.filter(slug=slug).first()
    if folder is None:
        return not_found(request, "There is no such folder in the library.")
    members = queryset_members(folder.documents.all(), "file", **MEMBER_OPTIONS)
    try:
        saved = save_zip(default_storage, f"archives/{slug}.zip", members, overwrite=True)
    except OSError as error:
        messages.error(request, f"{folder.name} was not saved: {error}")
    else:
        said = 'Saved <a href="{}"><bdi>{}.zip</bdi></a>: {} files, {}.'
        url, size = default_storage.url(saved.name), filesizeformat(saved.length)
        messages.success(request, format_html(said, url, folder.name, saved.members, size))
    return redirect("library:index")
