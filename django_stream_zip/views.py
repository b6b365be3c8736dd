"""Class-based views that answer with an archive."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.views.generic import View

from django_stream_zip import MemberFile
from django_stream_zip.response import zip_response


class ZipDownloadView(View):
    """Answers GET and HEAD with the archive of what `get_members` returns.

    Set `filename` or override `get_filename`; likewise `password`.
    """

    filename = "archive.zip"
    password: str | None = None

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer with the archive; with 404 if a file of it is missing."""
        try:
            members = self.get_members()
        except FileNotFoundError as error:
            # Not its text, which has the path.
            raise Http404("A file of this download is missing.") from error
        return zip_response(
            request,
            members,
            filename=self.get_filename(),
            password=self.get_password(),
        )

    def head(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer with the headers that GET would have."""
        return self.get(request, *args, **kwargs)

    def get_members(self) -> Iterable[MemberFile]:
        """Give the archive's members. A list makes more of the archive known than a generator."""
        raise ImproperlyConfigured(f"{type(self).__name__} needs a get_members() method")

    def get_filename(self) -> str:
        """Give the name to save the archive under."""
        return self.filename

    def get_password(self) -> str | None:
        """Give the password to encrypt the members with, None for none."""
        return self.password
