"""Archives in Django REST framework, for who imports this: nothing else here needs the framework.

What is refused is raised as the framework's exceptions, so that errors look as all others do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db.models import QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from rest_framework.decorators import action
from rest_framework.exceptions import APIException, NotFound
from rest_framework.renderers import BaseRenderer, JSONRenderer

from django_stream_zip import MemberFile, selection
from django_stream_zip.delivery.refusals import REFUSALS, explain
from django_stream_zip.delivery.slots import RETRY_AFTER
from django_stream_zip.members import DownloadTooLargeError, queryset_members
from django_stream_zip.response import zip_response

__all__ = ["DownloadTooLarge", "TooManyDownloads", "ZipDownloadMixin", "ZipRenderer"]


def __dir__() -> list[str]:
    return __all__


class DownloadTooLarge(APIException):
    """A download is over a limit: 413."""

    status_code = 413
    default_code = "download_too_large"


class TooManyDownloads(APIException):
    """MAX_DOWNLOADS are being sent: 503, with Retry-After."""

    status_code = 503
    default_code = "too_many_downloads"
    wait = RETRY_AFTER


class ZipRenderer(BaseRenderer):
    """Lets a view be asked with `Accept: application/zip`, or by `?format=zip`.

    Archives don't pass through renderers: a view returns `zip_response`. What does is the view's
    other answers, errors above all: they are rendered by its first other renderer, or as JSON.
    """

    media_type = "application/zip"
    format = "zip"
    charset = None
    render_style = "binary"

    def render(
        self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None
    ) -> Any:
        """Render data by another renderer, whose content type the response then has."""
        context = renderer_context or {}
        view, response = context.get("view"), context.get("response")
        renderers = () if view is None else view.get_renderers()
        others = (one for one in renderers if not isinstance(one, ZipRenderer))
        other = next(others, None) or JSONRenderer()
        if response is not None:
            charset = f"; charset={other.charset}" if other.charset else ""
            response["Content-Type"] = f"{other.media_type}{charset}"
        return other.render(data, other.media_type, context)


class ZipDownloadMixin:
    """Adds the action `download_zip` to a viewset: GET and HEAD of `…/zip/`.

    It sends the files of the rows that the viewset's list would have on all its pages: those of
    `get_queryset()`, filtered. Permissions, authentication and throttling are the viewset's.
    """

    #: File fields of the model, also across relations. A model's only one needn't be named.
    zip_file_fields: tuple[str, ...] = ()
    #: More options of `queryset_members`.
    zip_options: Mapping[str, Any] = {}
    #: The name to save the archive under.
    zip_filename: str | Promise = "archive.zip"
    #: The parameter that selects rows, required if set: ?ids=1&ids=2. None: all rows.
    zip_ids_param: str | None = None
    #: Whether to deflate members whose builder had no `compress`: see `zip_response`.
    zip_compress: bool | None = None

    @action(detail=False, methods=["get"], url_path="zip", pagination_class=None)
    def download_zip(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Answer with the archive."""
        return self.render_to_zip(self.get_zip_members)

    def get_zip_filename(self) -> str | Promise:
        """Return the name to save the archive under."""
        return self.zip_filename

    def get_zip_members(self) -> Iterable[MemberFile]:
        """Return the archive's members: those of the selected rows, or of all."""
        view: Any = self
        queryset = self.get_zip_selected(view.filter_queryset(view.get_queryset()))
        return queryset_members(queryset, *self.zip_file_fields, **self.zip_options)

    def get_zip_selected(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return those rows that the request selects. Raises NotFound as for an unknown row."""
        if self.zip_ids_param is None:
            return queryset
        view: Any = self
        given = view.request.query_params.getlist(self.zip_ids_param)
        try:
            return selection.rows(queryset, selection.keys_of(queryset.model, given))
        except selection.SelectionError as error:
            raise NotFound(str(error)) from error

    def render_to_zip(self, get_members: Any, **options: Any) -> Any:
        """Answer with the archive of what `get_members()` returns, for actions of your own too.

        Args:
            get_members: Called without arguments.
            options: Those of `zip_response`; the defaults are the viewset's.

        Raises:
            NotFound: There are no members, or a file is missing.
            DownloadTooLarge: They are over a limit.
            TooManyDownloads: MAX_DOWNLOADS are being sent.
        """
        view: Any = self
        options = {"filename": self.get_zip_filename(), "compress": self.zip_compress, **options}
        try:
            members = get_members()
            if isinstance(members, Sequence) and not members:
                raise NotFound(_("There are no files to download."))
            response = zip_response(view.request, members, **options)
        except REFUSALS as error:
            is_large = isinstance(error, DownloadTooLargeError)
            raise (DownloadTooLarge if is_large else NotFound)(explain(error)) from error
        if response.status_code == TooManyDownloads.status_code:
            raise TooManyDownloads(response.content.decode())
        return response

    def get_renderers(self) -> list[Any]:
        """Let the action be asked for application/zip."""
        view: Any = super()
        renderers: list[Any] = view.get_renderers()
        is_own = getattr(self, "action", None) == "download_zip"
        return [*renderers, ZipRenderer()] if is_own else renderers
