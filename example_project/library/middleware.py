"""Not found: a page of the library, also with DEBUG on, where Django shows one for developers."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin

from library.views import not_found


class NotFoundMiddleware(MiddlewareMixin):
    """Answers what no view knows, and what a view can't find. A site with DEBUG off has no need."""

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Replace the page for an address that leads to no view."""
        if response.status_code == 404 and request.resolver_match is None:
            return not_found(request, "There is no page at this address.")
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Replace the page for what a view didn't find."""
        if isinstance(exception, Http404):
            return not_found(request, "There is nothing at this address.")
        return None
