"""The admin action "Download as ZIP": a mixin, whose downloads resume, and a plain function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

import django
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core import checks
from django.core.exceptions import PermissionDenied
from django.db.models import Model, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from django_stream_zip import MemberFile, selection
from django_stream_zip.members import DownloadTooLargeError, queryset_members
from django_stream_zip.members.queryset import check_file_fields, file_field_paths
from django_stream_zip.response import zip_response

if TYPE_CHECKING:
    _Admin = admin.ModelAdmin[Any]
else:
    _Admin = object

_Function = TypeVar("_Function", bound=Callable[..., Any])

_DESCRIPTION = _("Download selected %(verbose_name_plural)s as ZIP")
_DESCRIPTION_OF_ONE = _("Download %(verbose_name)s as ZIP")


def _action(permission: str) -> Callable[[_Function], _Function]:
    """Decorate an action; since Django 6.1 it is offered for a single object too."""
    options: dict[str, Any] = {"description": _DESCRIPTION}
    if django.VERSION >= (6, 1):
        locations = admin.ActionLocation
        options = {
            "description": _DESCRIPTION_OF_ONE,
            "description_plural": _DESCRIPTION,
            "location": [locations.CHANGE_LIST, locations.CHANGE_FORM],
        }
    decorate: Any = admin.action(permissions=[permission], **options)
    return cast(Callable[[_Function], _Function], decorate)


class ZipDownloadAdminMixin(_Admin):
    """Adds the action to a ModelAdmin: put it before ModelAdmin among the bases.

    The action keeps the selection and redirects to a GET, which serves the archive with ranges, so
    that an interrupted download can be resumed. Both ask `has_zip_download_permission`, by default
    whether the user may view the model.
    """

    #: File fields of the model, also across relations. Its only one needn't be named.
    zip_file_fields: tuple[str, ...] = ()
    #: The archive's name; by default the model's.
    zip_filename: str | None = None
    #: How many members it may have; None leaves that to the settings.
    zip_limit: int | None = None
    #: More options of `queryset_members`: how members are named, what to do with missing files.
    zip_options: Mapping[str, Any] = {"missing": "report"}
    #: For how many seconds a download can be resumed.
    zip_link_max_age = 24 * 60 * 60
    #: Whether the admin's log tells who downloaded what.
    zip_log_entries = False

    def __init__(self, model: type[Model], admin_site: admin.AdminSite) -> None:
        super().__init__(model, admin_site)
        if self.actions is not None and "download_as_zip" not in self.actions:
            self.actions = [*self.actions, "download_as_zip"]

    @_action("zip_download")
    def download_as_zip(
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponseBase | None:
        """Redirect to the archive of the selected rows, or say why there is none."""
        with_files = self._with_files(queryset)
        pks = list(with_files.order_by("pk").values_list("pk", flat=True).distinct())
        problem = self._problem(len(pks))
        if problem:
            self.message_user(request, problem, messages.WARNING)
            return None
        if self.zip_log_entries:
            LogEntry.objects.log_actions(
                cast(Any, request.user).pk, with_files.distinct(), CHANGE, "Downloaded as ZIP."
            )
        token = selection.link_token(self._owner(request), pks, self.zip_link_max_age)
        name = f"{self.admin_site.name}:{self._url_name()}"
        return HttpResponseRedirect(reverse(name, args=[token]))

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        """Check `zip_file_fields` beside the ModelAdmin's own options."""
        found: list[checks.CheckMessage] = list(super().check(**kwargs))
        try:
            if isinstance(cast(Any, self.zip_file_fields), str):
                raise ValueError("it must be a tuple of names")
            check_file_fields(self.model, self.zip_file_fields)
        except ValueError as error:
            message = f"The value of 'zip_file_fields' is wrong: {error}."
            found.append(checks.Error(message, obj=type(self), id="django_stream_zip.E004"))
        return found

    def has_zip_download_permission(self, request: HttpRequest) -> bool:
        """Say whether the user may download."""
        return self.has_view_permission(request)

    def get_zip_members(
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> Iterable[MemberFile]:
        """Give the members for these rows."""
        options = dict(self.zip_options)
        if self.zip_limit is not None:
            options["limit"] = self.zip_limit
        return queryset_members(queryset, *self.zip_file_fields, **options)

    def get_zip_filename(self, request: HttpRequest) -> str:
        """Give the name to save the archive under."""
        return self.zip_filename or f"{capfirst(str(self.opts.verbose_name_plural))}.zip"

    def get_urls(self) -> list[URLPattern]:
        """Add the URL that serves archives."""
        view = self.admin_site.admin_view(self.zip_download_view)
        return [path("zip/<str:token>/", view, name=self._url_name()), *super().get_urls()]

    def zip_download_view(self, request: HttpRequest, token: str) -> HttpResponseBase:
        """Serve the archive that a link stands for, if it may still be had."""
        if not self.has_zip_download_permission(request):
            raise PermissionDenied
        try:
            pks = selection.opened(self._owner(request), token, self.zip_link_max_age)
        except selection.LostSelectionError as error:
            raise PermissionDenied("This download link is not valid any more.") from error
        queryset = self.get_queryset(request).filter(pk__in=pks)
        if queryset.order_by().values("pk").distinct().count() != len(pks):
            raise Http404("What was selected is not there any more.")
        try:
            members = self.get_zip_members(request, queryset)
        except DownloadTooLargeError as error:
            return self._refused(request, error)
        except FileNotFoundError as error:
            raise Http404("A file of this download is missing.") from error
        return zip_response(request, members, filename=self.get_zip_filename(request))

    def _problem(self, rows: int) -> str | None:
        if not rows:
            return str(_("There are no files in what you selected."))
        if self.zip_limit is not None and rows > self.zip_limit:
            return ngettext(
                "Select at most %(limit)d: these are %(rows)d.",
                "Select at most %(limit)d: these are %(rows)d.",
                rows,
            ) % {"limit": self.zip_limit, "rows": rows}
        return None

    def _refused(self, request: HttpRequest, error: Exception) -> HttpResponseBase:
        self.message_user(request, capfirst(str(error)) + ".", messages.WARNING)
        opts = self.opts
        changelist = f"{self.admin_site.name}:{opts.app_label}_{opts.model_name}_changelist"
        return HttpResponseRedirect(reverse(changelist))

    def _with_files(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Leave out rows all of whose file fields are empty."""
        some = Q()
        for name in file_field_paths(self.model, self.zip_file_fields):
            some |= Q(**{f"{name}__gt": ""})
        return queryset.filter(some)

    def _owner(self, request: HttpRequest) -> str:
        return f":{request.user.pk}:{self.opts.label_lower}"

    def _url_name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_zip"


@_action("view")
def download_as_zip(
    modeladmin: admin.ModelAdmin[Any], request: HttpRequest, queryset: QuerySet[Any]
) -> HttpResponseBase | None:
    """Answer with the archive of the selected rows' files: an action for any ModelAdmin.

    It reads `zip_file_fields`, `zip_filename`, `zip_limit` and `zip_options` of the ModelAdmin, if
    they are there. An action is a POST, and its download can't be resumed: see the mixin for that.
    """
    options = dict(getattr(modeladmin, "zip_options", ZipDownloadAdminMixin.zip_options))
    limit = getattr(modeladmin, "zip_limit", None)
    if limit is not None:
        options["limit"] = limit
    try:
        fields = getattr(modeladmin, "zip_file_fields", ())
        members = queryset_members(queryset, *fields, **options)
    except DownloadTooLargeError as error:
        modeladmin.message_user(request, capfirst(str(error)) + ".", messages.WARNING)
        return None
    except FileNotFoundError:
        message = str(_("A file of this download is missing."))
        modeladmin.message_user(request, message, messages.ERROR)
        return None
    if not members:
        message = str(_("There are no files in what you selected."))
        modeladmin.message_user(request, message, messages.WARNING)
        return None
    name = getattr(modeladmin, "zip_filename", None)
    filename = name or f"{capfirst(str(modeladmin.opts.verbose_name_plural))}.zip"
    return zip_response(request, members, filename=filename)
