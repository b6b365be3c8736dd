"""The admin action "Download as ZIP": a mixin whose downloads can be resumed, and a function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import django
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core import checks
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.db.models import Model, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils.functional import Promise
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_stream_zip import MemberFile, selection
from django_stream_zip.checks import rows_to_check
from django_stream_zip.delivery.refusals import REFUSALS, explain
from django_stream_zip.members import (
    DownloadTooLargeError,
    TooManyMembersError,
    queryset_members,
)
from django_stream_zip.members.build import ContentMember
from django_stream_zip.members.collect import is_choice
from django_stream_zip.members.queryset import check_file_fields, check_options, file_field_paths
from django_stream_zip.response import zip_response

if TYPE_CHECKING:
    _Admin = admin.ModelAdmin[Any]
else:
    _Admin = object

__all__ = ["ZipDownloadAdminMixin", "download_as_zip"]


def __dir__() -> list[str]:
    return __all__


_Function = TypeVar("_Function", bound=Callable[..., Any])

_DESCRIPTION = gettext_lazy("Download selected %(verbose_name_plural)s as ZIP")
_DESCRIPTION_OF_ONE = gettext_lazy("Download %(verbose_name)s as ZIP")
_NO_FILES = gettext_lazy("The selected items have no files.")


def _action(permission: str) -> Callable[[_Function], _Function]:
    """Decorate an action; since Django 6.1 it is offered on the page of one object too."""
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
    that an interrupted download can be resumed. Both require `has_zip_download_permission`: by
    default the permission to view the model.
    """

    #: File fields of the model, also across relations. A model's only one needn't be named.
    zip_file_fields: tuple[str, ...] = ()
    #: The archive's name; None for the model's.
    zip_filename: str | None = None
    #: How many members it may have; None for what `zip_options` and the settings say.
    zip_limit: int | None = None
    #: Whether to deflate what `zip_options` leave open: see `zip_response`.
    zip_compress: bool | None = None
    #: More options of `queryset_members`: how members are named, what to do with missing files.
    zip_options: Mapping[str, Any] = {"missing": "report"}
    #: For how many seconds a download can be started or resumed.
    zip_link_max_age = 24 * 60 * 60
    #: Whether the admin's log records who downloaded what.
    zip_log_entries = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Require that the mixin comes first: behind ModelAdmin it would have no effect."""
        super().__init_subclass__(**kwargs)
        order = cls.__mro__
        if admin.ModelAdmin in order[: order.index(ZipDownloadAdminMixin)]:
            bases = "(ZipDownloadAdminMixin, admin.ModelAdmin)"
            raise ImproperlyConfigured(
                f"{cls.__name__}: put ZipDownloadAdminMixin before ModelAdmin, as in "
                f"class {cls.__name__}{bases}"
            )

    def __init__(self, model: type[Model], admin_site: admin.AdminSite) -> None:
        super().__init__(model, admin_site)
        if self.actions is not None and "download_as_zip" not in self.actions:
            self.actions = [*self.actions, "download_as_zip"]

    @_action("zip_download")
    def download_as_zip(
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponseBase | None:
        """Redirect to the archive of the selected rows, or show why there is none."""
        with_files = self._with_files(queryset)
        pks = list(with_files.order_by("pk").values_list("pk", flat=True).distinct())
        problem = self._problem(len(pks))
        if problem:
            self.message_user(request, problem, messages.WARNING)
            return None
        if self.zip_log_entries:
            LogEntry.objects.log_actions(
                cast(Any, request.user).pk, with_files.distinct(), CHANGE, _("Downloaded as ZIP.")
            )
        token = selection.link_token(self.model, self._scope(request), pks, self.zip_link_max_age)
        name = f"{self.admin_site.name}:{self._url_name()}"
        return HttpResponseRedirect(reverse(name, args=[token]))

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        """Check the mixin's options beside the ModelAdmin's own."""
        found: list[checks.CheckMessage] = list(super().check(**kwargs))
        for option, problem in self._problems():
            message = f"The value of {option!r} is wrong: {problem}."
            found.append(checks.Error(message, obj=type(self), id="django_stream_zip.E004"))
        return found

    def _problems(self) -> Iterator[tuple[str, object]]:
        """Yield options that are wrong, each with the reason."""
        for option, is_valid, must_be in _VALUES:
            if not is_valid(getattr(self, option)):
                yield option, f"it must be {must_be}"
        # What `get_queryset` may annotate isn't known without a request.
        is_own = type(self).get_queryset is not admin.ModelAdmin.get_queryset
        queryset = None if is_own else rows_to_check(self.model)
        fields = self.zip_file_fields
        try:
            if isinstance(cast(Any, fields), str):
                raise ValueError(f"it must be a tuple of names: ({fields!r},)")
            check_file_fields(self.model, fields)
        except ValueError as error:
            yield "zip_file_fields", error
            queryset, fields = None, ()
        if type(self).get_zip_members is not ZipDownloadAdminMixin.get_zip_members:
            return  # which may take others
        if _names_members(self) and "name" in self.zip_options:
            yield "zip_options", "get_zip_member_name names members, so it can't have a name too"
            return
        try:
            check_options(queryset, *fields, **self.zip_options)
        except (ValueError, TypeError) as error:
            yield "zip_options", error

    def has_zip_download_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may download."""
        return self.has_view_permission(request)

    def get_zip_members(
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> Iterable[MemberFile]:
        """Return the members for these rows."""
        return _members(self, request, queryset)

    def get_zip_member_name(self, request: HttpRequest, instance: Any, stored_name: str) -> str:
        """Return a file's name in the archive, in place of `name` in `zip_options`.

        It is not called unless it is overridden: instances are loaded only for it.
        """
        raise NotImplementedError

    def get_zip_filename(self, request: HttpRequest) -> str:
        """Return the name to save the archive under."""
        return _filename(self)

    def get_urls(self) -> list[URLPattern]:
        """Add the URL that serves archives."""
        view = self.admin_site.admin_view(self.zip_download_view)
        return [path("zip/<str:token>/", view, name=self._url_name()), *super().get_urls()]

    def zip_download_view(self, request: HttpRequest, token: str) -> HttpResponseBase:
        """Serve the archive that a link stands for.

        Raises:
            PermissionDenied: The user may not download, or the link isn't valid any more.
            Http404: A row or a file is missing.
        """
        if not self.has_zip_download_permission(request):
            raise PermissionDenied
        try:
            keys = selection.opened(self.model, self._scope(request), token, self.zip_link_max_age)
            queryset = selection.rows(self.get_queryset(request), keys)
            members = self.get_zip_members(request, queryset)
            filename = self.get_zip_filename(request)
            return zip_response(request, members, filename=filename, compress=self.zip_compress)
        except selection.LostSelectionError as error:
            raise PermissionDenied(str(error)) from error
        except selection.UnknownRowsError as error:
            raise Http404(str(error)) from error
        except REFUSALS as error:
            return self._refused(request, error)

    def _problem(self, rows: int) -> str | None:
        """Return why these rows can't be downloaded, as far as it is known without their files."""
        if not rows:
            return str(_NO_FILES)
        limit = _member_options(self).get("limit")
        if isinstance(limit, int) and rows > limit:
            return TooManyMembersError(limit, rows).client_text
        return None

    def _refused(self, request: HttpRequest, error: Exception) -> HttpResponseBase:
        text = explain(error)
        if not isinstance(error, DownloadTooLargeError):
            raise Http404(text) from error
        self.message_user(request, text, messages.WARNING)
        opts = self.opts
        changelist = f"{self.admin_site.name}:{opts.app_label}_{opts.model_name}_changelist"
        return HttpResponseRedirect(reverse(changelist))

    def _with_files(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Leave out rows all of whose file fields are empty."""
        some = Q()
        for name in file_field_paths(self.model, self.zip_file_fields):
            some |= Q(**{f"{name}__gt": ""})
        return queryset.filter(some)

    def _scope(self, request: HttpRequest) -> str:
        site = self.admin_site.name
        return selection.scope_of(request, "admin", self.opts.label_lower, site)

    def _url_name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_zip"


@_action("view")
def download_as_zip(
    modeladmin: admin.ModelAdmin[Any], request: HttpRequest, queryset: QuerySet[Any]
) -> HttpResponseBase | None:
    """Answer with the archive of the selected rows' files: an action for any ModelAdmin.

    It reads `zip_file_fields`, `zip_filename`, `zip_limit`, `zip_compress` and `zip_options` of the
    ModelAdmin, where it has them. An action is a POST, whose download can't be resumed: for that
    there is the mixin.
    """
    try:
        members = _members(modeladmin, request, queryset)
        if members:
            filename, compress = _filename(modeladmin), _option(modeladmin, "zip_compress")
            return zip_response(request, members, filename=filename, compress=compress)
    except REFUSALS as error:
        level = messages.WARNING if isinstance(error, DownloadTooLargeError) else messages.ERROR
        modeladmin.message_user(request, explain(error), level)
    else:
        modeladmin.message_user(request, str(_NO_FILES), messages.WARNING)
    return None


def _option(modeladmin: Any, name: str) -> Any:
    """Return an option of any ModelAdmin: the mixin's default where it has none."""
    return getattr(modeladmin, name, getattr(ZipDownloadAdminMixin, name))


def _members(modeladmin: Any, request: HttpRequest, queryset: QuerySet[Any]) -> list[ContentMember]:
    return members_of(modeladmin, request, queryset, _member_options(modeladmin))


def members_of(
    modeladmin: Any, request: HttpRequest, queryset: QuerySet[Any], options: dict[str, Any]
) -> list[ContentMember]:
    """Return the members of rows with these options, under the names that a ModelAdmin wants."""
    if _names_members(modeladmin):
        options = {**options, "name": partial(modeladmin.get_zip_member_name, request)}
    return queryset_members(queryset, *_option(modeladmin, "zip_file_fields"), **options)


def _names_members(modeladmin: Any) -> bool:
    """Return whether a ModelAdmin has a `get_zip_member_name` of its own."""
    method = getattr(type(modeladmin), "get_zip_member_name", None)
    return method not in (None, ZipDownloadAdminMixin.get_zip_member_name)


def _member_options(modeladmin: Any) -> dict[str, Any]:
    """Return the options of `queryset_members`, `zip_limit` among them."""
    limit = _option(modeladmin, "zip_limit")
    return {**_option(modeladmin, "zip_options"), **({} if limit is None else {"limit": limit})}


def _filename(modeladmin: Any) -> str:
    name: str | None = _option(modeladmin, "zip_filename")
    return name or f"{capfirst(str(modeladmin.opts.verbose_name_plural))}.zip"


def _is_number(value: Any) -> bool:
    return type(value) is int and value >= 1


# Options of the mixin: what each must be, as a test and in words.
_VALUES: Final[tuple[tuple[str, Callable[[Any], bool], str], ...]] = (
    (
        "zip_filename",
        lambda value: value is None or isinstance(value, str | Promise),
        "a name or None",
    ),
    ("zip_limit", lambda value: value is None or _is_number(value), "a number, 1 or more, or None"),
    ("zip_compress", is_choice, "True, False or None"),
    ("zip_link_max_age", _is_number, "a number of seconds, 1 or more"),
)
