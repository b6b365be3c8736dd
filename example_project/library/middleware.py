"""The library's own 404 page, which Django replaces by one for developers while DEBUG is on."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin

from library.views import not_found


class NotFoundMiddleware(MiddlewareMixin):
    """Answers 404s with the library's page. A site with DEBUG off needs no such middleware."""

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Replace the page for a URL without a view."""
        if response.status_code == 404 and request.resolver_match is None:
            return not_found(request, "There is no page at this address.")
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Replace the page for a view's Http404."""
        if isinstance(exception, Http404):
            return not_found(request, "There is nothing at this address.")
        return None
