"""Pages and answers: to request an export, to see how far it is, to download it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.core.files.storage import InvalidStorageError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.generic import View

from django_stream_zip.delivery.disposition import safe_filename
from django_stream_zip.exports.delivering import deliver
from django_stream_zip.exports.finishing import cancel
from django_stream_zip.exports.models import AbstractZipExport, exports
from django_stream_zip.exports.registry import (
    UnknownRecipeError,
    WrongArgumentsError,
    recipe_of,
)
from django_stream_zip.exports.requests import live_export, request_again, request_zip
from django_stream_zip.exports.sharing import shared_pk
from django_stream_zip.exports.states import State

__all__ = [
    "ExportAgainView",
    "ExportCancelView",
    "ExportFileView",
    "ExportStatusView",
    "SharedExportView",
    "ZipExportView",
]

logger = logging.getLogger("django_stream_zip")

#: After how many seconds a script is to ask again, and a page without scripts is loaded again.
RETRY_AFTER: Final = 2
REFRESH_AFTER: Final = 5

_NOT_FOUND: Final = gettext_lazy("There is no such archive.")
_TEXTS: Final = {
    State.QUEUED: gettext_lazy("The archive will be prepared in a moment."),
    State.BUILDING: gettext_lazy("The archive is being prepared. You may leave this page."),
    State.FINISHING: gettext_lazy("The archive is nearly ready."),
    State.READY: gettext_lazy("The archive is ready."),
    State.FAILED: gettext_lazy("The archive could not be prepared."),
    State.CANCELLED: gettext_lazy("The archive was cancelled."),
    State.EXPIRED: gettext_lazy("The archive has expired."),
}
_CANCEL: Final = ("cancel", gettext_lazy("Cancel"))
_AGAIN: Final = ("again", gettext_lazy("Prepare it again"))
# What an owner can do in a state: names of URLs, and what the buttons say.
_BUTTONS: Final = {
    State.QUEUED: (_CANCEL,),
    State.BUILDING: (_CANCEL,),
    State.FINISHING: (_CANCEL,),
    State.READY: (_AGAIN,),
    State.FAILED: (_AGAIN,),
    State.CANCELLED: (_AGAIN,),
    State.EXPIRED: (_AGAIN,),
}


class OwnerView(View):
    """For users: others are sent to log in, whether there is anything or not."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer, and have no cache keep it."""
        if not request.user.is_authenticated:
            return _to_login(request, self.after_login())
        response = super().dispatch(request, *args, **kwargs)
        response.headers.setdefault("Cache-Control", "private, no-store")
        patch_vary_headers(response, ["Accept"])
        return response

    def after_login(self) -> str:
        """Return the URL to which the login leads."""
        return self.request.get_full_path()

    def export(self) -> AbstractZipExport:
        """Return the user's export that the URL names. Raises Http404 for any other."""
        mine = exports().select_related("owner").filter(owner=self.request.user)
        found: AbstractZipExport | None = mine.filter(pk=self.kwargs["pk"]).first()
        if found is None:
            raise Http404(str(_NOT_FOUND))
        return found


class ZipExportView(OwnerView):
    """Has an archive prepared: a POST redirects to its status page.

    GET shows a button, or redirects to the archive that was requested already.
    """

    #: The name of a recipe: see `zip_export`.
    recipe: str | None = None
    #: The name to save the archive under.
    filename = "archive.zip"
    #: The page with the button.
    template_name = "zip_exports/request.html"

    def get_recipe(self) -> str:
        """Return the name of the recipe."""
        if self.recipe is None:
            raise ImproperlyConfigured(f"{type(self).__name__} needs a recipe")
        return self.recipe

    def get_filename(self) -> str:
        """Return the name to save the archive under."""
        return self.filename

    def get_arguments(self) -> Mapping[str, Any]:
        """Return what the recipe is called with, which is JSON: by default what is in the URL."""
        return {**self.kwargs}

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Show the button."""
        recipe, arguments = recipe_of(self.get_recipe()), {**self.get_arguments()}
        recipe.check(arguments)
        if not recipe.is_allowed(request.user, arguments):
            raise PermissionDenied
        filename = safe_filename(str(self.get_filename()))
        if export := live_export(recipe.name, request.user, filename, arguments):
            return HttpResponseRedirect(export.get_absolute_url())
        context = {
            "title": filename,
            "text": _("This archive is prepared in the background. You may leave the page then."),
            "button": _("Prepare the archive"),
        }
        return render(request, self.template_name, context)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Request the archive, and redirect to its status page."""
        export = request_zip(
            self.get_recipe(),
            owner=request.user,
            filename=self.get_filename(),
            **self.get_arguments(),
        )
        return _see(export)


class ExportStatusView(OwnerView):
    """Shows how far an export is: as a page, or as JSON to scripts that accept that."""

    #: The page.
    template_name = "zip_exports/status.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer with what the row says: one query."""
        export = self.export()
        status = status_of(export)
        types = ["text/html", "application/json"]
        if request.get_preferred_type(types) == "application/json":
            response: HttpResponse = JsonResponse(status)
        else:
            response = render(request, self.template_name, _context(export, status))
        if export.is_working:
            response.headers["Retry-After"] = str(RETRY_AFTER)
        return response


class ButtonView(OwnerView):
    """For a button of the status page. The login leads to that page, as it can't press a button."""

    def after_login(self) -> str:
        """Return the URL of the page with the button."""
        return reverse("zip_exports:status", args=[self.kwargs["pk"]])


class ExportCancelView(ButtonView):
    """Cancels an export that isn't ready."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Cancel it, and redirect to its status page."""
        export = self.export()
        cancel(export)
        return _see(export)


class ExportAgainView(ButtonView):
    """Requests an export anew: one that is over, or whose files may have changed."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Request it, and redirect to the status page of the new one."""
        try:
            return _see(request_again(self.export()))
        except (UnknownRecipeError, WrongArgumentsError) as error:
            raise Http404(str(_NOT_FOUND)) from error


class ExportFileView(OwnerView):
    """Serves the archive, to its owner."""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer with the archive, if its owner may still have it."""
        export = self.export()
        if not _may_have(export):
            raise PermissionDenied
        return _delivered(request, export)

    head = get


class SharedExportView(View):
    """Serves the archive to anybody who has a link."""

    def get(self, request: HttpRequest, token: str) -> HttpResponseBase:
        """Answer with the archive, if its owner may still have it."""
        pk = shared_pk(token)
        export = None if pk is None else exports().select_related("owner").filter(pk=pk).first()
        if export is None or not _may_have(export) or not export.known_recipe.shareable:
            raise Http404(str(_NOT_FOUND))
        return _delivered(request, export)

    head = get


def status_of(export: AbstractZipExport) -> dict[str, Any]:
    """Return what an owner sees of an export, as JSON."""
    state = export.shown_state
    is_ready = state == State.READY
    return {
        "id": str(export.pk),
        "filename": export.filename,
        "state": state.value,
        "label": str(state.label),
        "text": str(_TEXTS[state]),
        "error": export.error if state == State.FAILED else "",
        "bytes_done": export.bytes_done,
        "length": export.length,
        "fraction": export.fraction,
        "missing": export.missing,
        "expires": export.expires.isoformat() if is_ready and export.expires else None,
        "url": reverse("zip_exports:file", args=[export.pk]) if is_ready else None,
    }


def _context(export: AbstractZipExport, status: Mapping[str, Any]) -> dict[str, Any]:
    missing = ngettext(
        "%(count)s file is missing in it.", "%(count)s files are missing in it.", export.missing
    )
    return {
        "export": export,
        "status": status,
        "title": export.filename,
        "percent": None if export.fraction is None else int(export.fraction * 100),
        "progress_label": _("Progress"),
        "missing_text": missing % {"count": export.missing} if export.missing else "",
        "ready_label": _("Prepared on"),
        "expires_label": _("Available until"),
        "download_label": _("Download"),
        "refresh_after": REFRESH_AFTER,
        "buttons": [
            (reverse(f"zip_exports:{name}", args=[export.pk]), label)
            for name, label in _BUTTONS[export.shown_state]
        ],
    }


def _may_have(export: AbstractZipExport) -> bool:
    try:
        return bool(export.owner.is_active and export.is_allowed())
    except (UnknownRecipeError, WrongArgumentsError):
        logger.warning("export %s is of an unknown recipe, %r", export.pk, export.recipe)
        return False


def _delivered(request: HttpRequest, export: AbstractZipExport) -> HttpResponseBase:
    """Answer with the archive. Raises Http404 if it isn't there, or not any more."""
    if not export.is_downloadable:
        raise Http404(str(_NOT_FOUND))
    try:
        return deliver(request, export)
    except (FileNotFoundError, InvalidStorageError) as error:
        logger.warning("the file of export %s is gone: %r, %s", export.pk, export.file, error)
        raise Http404(str(_NOT_FOUND)) from error


def _see(export: AbstractZipExport) -> HttpResponseRedirect:
    return HttpResponseRedirect(export.get_absolute_url(), status=HTTPStatus.SEE_OTHER)


def _to_login(request: HttpRequest, after: str) -> HttpResponseBase:
    if request.get_preferred_type(["text/html", "application/json"]) == "application/json":
        raise PermissionDenied
    return redirect_to_login(after)
