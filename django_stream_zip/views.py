"""Class-based views that answer with an archive."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.decorators import classonlymethod
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.views.generic import View
from django.views.generic.list import MultipleObjectMixin

from django_stream_zip import MemberFile, selection
from django_stream_zip.checks import rows_to_check
from django_stream_zip.delivery.async_download import AnyMembers
from django_stream_zip.delivery.refusals import REFUSALS, explain
from django_stream_zip.members import DownloadTooLargeError, async_member, queryset_members
from django_stream_zip.members.build import ContentMember
from django_stream_zip.members.collect import is_choice
from django_stream_zip.members.misuse import check_members, check_queryset
from django_stream_zip.members.queryset import check_options
from django_stream_zip.response import BusyResponse, ZipResponse, zip_response
from django_stream_zip.selection import zip_link

__all__ = [
    "SELECTION_PARAM",
    "AsyncQuerySetZipDownloadView",
    "AsyncZipDownloadView",
    "QuerySetZipDownloadView",
    "SignedZipLinkMixin",
    "ZipDownloadView",
    "ZipViewMixin",
    "zip_link",
]


def __dir__() -> list[str]:
    return __all__


if TYPE_CHECKING:
    _MultipleObjectMixin = MultipleObjectMixin[Any]
else:
    _MultipleObjectMixin = MultipleObjectMixin

#: The parameter of the URL to which a POST redirects.
SELECTION_PARAM = "selection"

# Options of the views: what each must be, as a test and in words.
_Values: TypeAlias = tuple[tuple[str, Callable[[Any], bool], str], ...]
_VALUES: Final[_Values] = (
    ("filename", lambda value: isinstance(value, str | Promise), "a name"),
    (
        "password",
        lambda value: value is None or isinstance(value, str | Promise),
        "text or None",
    ),
    ("compress", is_choice, "True, False or None"),
    (
        "export_over",
        lambda value: value is None or (type(value) is int and value >= 0),
        "a number of bytes or None",
    ),
    ("content_type", lambda value: isinstance(value, str), "a media type"),
    ("extended_timestamps", lambda value: isinstance(value, bool), "True or False"),
    ("comment", lambda value: isinstance(value, str | Promise), "text"),
)
_VALUES_OF_ROWS: Final[_Values] = (
    (
        "selection_max_age",
        lambda value: type(value) is int and value >= 1,
        "a number of seconds, 1 or more",
    ),
    (
        "queryset",
        lambda value: value is None or isinstance(value, QuerySet),
        "a QuerySet or None",
    ),
)


def _is_property(value: object) -> bool:
    """Return whether only an instance of the view knows an option's value."""
    return hasattr(type(value), "__get__")


def _check_values(
    view: type[Any], base: type[Any], initkwargs: dict[str, Any], values: _Values
) -> None:
    """Raise ImproperlyConfigured where a view's option is wrong.

    What a property returns, or a method that isn't the base's, is only known at a download.
    """
    for option, is_valid, must_be in values:
        value = initkwargs.get(option, getattr(view, option, None))
        is_property = option not in initkwargs and _is_property(value)
        getter = f"get_{option}"
        is_own = getattr(view, getter, None) is not getattr(base, getter, None)
        if not (is_property or is_own or is_valid(value)):
            raise ImproperlyConfigured(
                f"{view.__name__}: {option} must be {must_be}, not {value!r}"
            )


class ZipViewMixin:
    """What the views have in common: for each attribute there is a `get_` method to override."""

    #: The name to save the archive under.
    filename = "archive.zip"
    #: Encrypts all members (AES-256). The archive has a length then, but can't be resumed.
    password: str | None = None
    #: Without members: False for a 404, True for an empty archive, which a generator always gets.
    allow_empty = False
    #: Whether to deflate members whose builder had no `compress`: see `zip_response`.
    compress: bool | None = None
    #: Archives of more bytes than that are not sent: the client is redirected to `get_export_url`.
    #: It has no effect where the length isn't known. None: all are sent.
    export_over: int | None = None
    #: The name of the URL of the view that has them built in the background: see `ZipExportView`.
    export_view: str | None = None
    #: The media type, for formats that are ZIPs.
    content_type = "application/zip"
    #: Whether times are also written in seconds since 1970: see `zip_response`.
    extended_timestamps = True
    #: The archive's comment. It isn't encrypted.
    comment = ""

    def get_filename(self) -> str:
        """Return the name to save the archive under."""
        return self.filename

    def get_password(self) -> str | None:
        """Return the password to encrypt the members with, or None."""
        return self.password

    def get_compress(self) -> bool | None:
        """Return what `zip_response` does with what builders would deflate."""
        return self.compress

    def get_content_type(self) -> str:
        """Return the archive's media type."""
        return self.content_type

    def get_extended_timestamps(self) -> bool:
        """Return whether times are also written in seconds since 1970."""
        return self.extended_timestamps

    def get_comment(self) -> str:
        """Return the archive's comment."""
        return self.comment

    def get_allow_empty(self) -> bool:
        """Return whether to send an archive without members."""
        return self.allow_empty

    def get_export_url(self) -> str:
        """Return the URL to redirect to where an archive is larger than `export_over`."""
        if self.export_view is None:
            raise ImproperlyConfigured(f"{type(self).__name__} needs an export_view")
        view = cast(View, self)
        return reverse(self.export_view, args=view.args, kwargs=view.kwargs)

    def render_to_zip(self, request: HttpRequest, members: AnyMembers) -> HttpResponseBase:
        """Answer with the archive of these members, or redirect to where a large one is prepared.

        Raises:
            Http404: There are none, and `get_allow_empty()` is false.
        """
        if isinstance(members, Sequence) and not members and not self.get_allow_empty():
            raise Http404(_("There are no files to download."))
        response: HttpResponseBase = zip_response(
            request,
            members,
            filename=self.get_filename(),
            password=self.get_password(),
            compress=self.get_compress(),
            content_type=self.get_content_type(),
            extended_timestamps=self.get_extended_timestamps(),
            comment=self.get_comment(),
        )
        # What is prepared instead needs none of the slots that others have taken.
        if isinstance(response, ZipResponse | BusyResponse) and self.export_over is not None:
            plan = response.download.order.plan
            if plan is not None and plan.length > self.export_over:
                return HttpResponseRedirect(self.get_export_url())
        return response

    def without_members(self, error: Exception) -> HttpResponseBase:
        """Answer where there are no members to send: over a limit, or as a file is missing.

        Args:
            error: A DownloadTooLargeError, which becomes a 413, or a FileNotFoundError.

        Raises:
            Http404: A file is missing.
        """
        text = explain(error)
        if isinstance(error, DownloadTooLargeError):
            return HttpResponse(text, status=413, content_type="text/plain; charset=utf-8")
        raise Http404(text) from error


class SignedZipLinkMixin:
    """Admits who comes by a link of `zip_link`, and nobody else: put it first among the bases.

    The link stands in for a login. `self.request.user` may be anonymous, so the view has to know by
    its URL alone what to send.
    """

    def has_access_without_link(self, request: HttpRequest) -> bool:
        """Return whether somebody without a link may download: by default nobody."""
        return False

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer, if the link is valid.

        Raises:
            PermissionDenied: It was changed, has expired, or is for another URL.
        """
        has_link = selection.LINK_PARAM in request.GET
        is_admitted = selection.is_linked if has_link else self.has_access_without_link
        if not is_admitted(request):
            raise PermissionDenied(_("This download link is no longer valid."))
        view: Any = super()
        response: HttpResponseBase = view.dispatch(request, *args, **kwargs)
        return response


class ZipDownloadView(ZipViewMixin, View):
    """Answers GET and HEAD with the archive of what `get_members` returns.

    It streams under WSGI and ASGI. It is a 404 if the list of members is empty, or if a file is
    found to be missing before the first byte.
    """

    @classonlymethod
    def as_view(cls, **initkwargs: Any) -> Callable[..., HttpResponseBase]:
        """Return the view. Raises ImproperlyConfigured where an option is wrong."""
        _check_values(cls, ZipDownloadView, initkwargs, _VALUES)
        view: Callable[..., HttpResponseBase] = super().as_view(**initkwargs)
        return view

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer with the archive."""
        try:
            return self.render_to_zip(request, self.get_members())
        except REFUSALS as error:
            return self.without_members(error)

    def head(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer with the headers that GET would have."""
        return self.get(request, *args, **kwargs)

    def get_members(self) -> Iterable[MemberFile]:
        """Return the archive's members.

        Prefer a list: with a generator, neither length nor missing files are known before sending
        starts.
        """
        raise ImproperlyConfigured(f"{type(self).__name__} needs a get_members() method")


class QuerySetZipViewMixin(_MultipleObjectMixin, ZipViewMixin):
    """What the two views of a queryset's rows have in common; all of it is synchronous."""

    #: The names of file fields, also across relations. A model's only one needn't be named.
    file_fields: tuple[str, ...] = ()
    #: More options of `queryset_members`: how members are named, what to do with missing files.
    member_options: Mapping[str, Any] = {}
    #: The parameter that selects rows, required if set. None: all rows, whatever a request says.
    ids_param: str | None = None
    #: For how many seconds the selection of a POST can be downloaded.
    selection_max_age = 24 * 60 * 60
    #: False for a 404 where the rows have no files, True for an empty archive.
    allow_empty = False

    request: HttpRequest

    @classonlymethod
    def as_view(cls, **initkwargs: Any) -> Callable[..., Any]:
        """Return the view.

        Raises:
            ImproperlyConfigured: An option is wrong.
        """
        _check_values(cls, QuerySetZipViewMixin, initkwargs, _VALUES_OF_ROWS)
        if problem := _problem(cls, initkwargs):
            raise ImproperlyConfigured(f"{cls.__name__}: {problem}")
        view: Callable[..., Any] = super().as_view(**initkwargs)  # type: ignore[misc]
        return view

    def __init__(self, **initkwargs: Any) -> None:
        super().__init__(**initkwargs)
        if self.ids_param is None and not _is_overridden(type(self), "post"):
            view: Any = self
            view.http_method_names = [name for name in view.http_method_names if name != "post"]

    def get_member_name(self, instance: Any, stored_name: str) -> str:
        """Return a file's name in the archive, in place of `name` in `member_options`.

        It is not called unless it is overridden: instances are loaded only for it.

        Args:
            instance: The row, of the model whose queryset it is.
            stored_name: The file's name in its storage.
        """
        raise NotImplementedError

    def get_member_options(self) -> Mapping[str, Any]:
        """Return the options of `queryset_members`, with `get_member_name` if it is overridden."""
        if _is_overridden(type(self), "get_member_name"):
            return {**self.member_options, "name": self.get_member_name}
        return self.member_options

    def get_selected(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return those rows of the queryset that the request selects.

        Raises:
            Http404: It selects none, or one that isn't there.
        """
        if self.ids_param is None:
            return queryset
        check_queryset(queryset)
        try:
            return selection.rows(queryset, self._keys(queryset, self.ids_param))
        except selection.SelectionError as error:
            raise Http404(str(error)) from error

    def _members_of_rows(self) -> list[ContentMember]:
        """Return a member for each file of the rows."""
        queryset = self.get_selected(self.get_queryset())
        return queryset_members(queryset, *self.file_fields, **self.get_member_options())

    def _redirect(self, request: HttpRequest) -> HttpResponseBase:
        """Redirect to a GET for the ids in a form; the rest of the query string stays."""
        queryset = self.get_queryset()
        check_queryset(queryset)
        name = cast(str, self.ids_param)
        try:
            keys = selection.keys_of(queryset.model, request.POST.getlist(name))
            selection.rows(queryset, keys)
        except selection.SelectionError as error:
            raise Http404(str(error)) from error
        except DownloadTooLargeError as error:
            return self.without_members(error)
        scope = self._scope(queryset)
        query = request.GET.copy()
        query.pop(name, None)
        query[SELECTION_PARAM] = selection.link_token(
            queryset.model, scope, keys, self.selection_max_age
        )
        # Without a path: one that begins with "//" would lead to another host.
        return HttpResponseRedirect(f"?{query.urlencode()}", status=303)

    def _keys(self, queryset: QuerySet[Any], ids_param: str) -> set[Any]:
        query = self.request.GET
        if SELECTION_PARAM not in query:
            return selection.keys_of(queryset.model, query.getlist(ids_param))
        scope, token = self._scope(queryset), query[SELECTION_PARAM]
        return selection.opened(queryset.model, scope, token, self.selection_max_age)

    def _scope(self, queryset: QuerySet[Any]) -> str:
        label = queryset.model._meta.label_lower
        return selection.scope_of(self.request, "view", label, self.request.path)


class QuerySetZipDownloadView(QuerySetZipViewMixin, ZipDownloadView):
    """Answers with the files of a queryset's rows, of all or of those that a request selects.

    Set `model`, `queryset` or `get_queryset`, as with Django's ListView, and `file_fields` where
    the model has several; `member_options` are those of `queryset_members`. Members are named by
    its `name`, or by `get_member_name`.

    With `ids_param = "ids"` it serves a selection: the ids come in the query string (?ids=1&ids=2)
    or, where they are many, in the form of a POST. That redirects to a GET, which can be resumed,
    by this user at this URL. A request without ids, and one with an id that isn't in
    `get_queryset()`, is a 404. A download over a limit is a 413.
    """

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Redirect to a GET for the ids in a form, which may be more than a URL takes.

        The rest of the query string stays.
        """
        return self._redirect(request)

    def get_members(self) -> Iterable[MemberFile]:
        """Return a member for each file of the rows."""
        return self._members_of_rows()


def _problem(view: type[QuerySetZipViewMixin], initkwargs: dict[str, Any]) -> str | None:
    """Return what is wrong with a view's options, before the first download would show it."""

    def option(name: str) -> Any:
        return initkwargs.get(name, getattr(view, name, None))

    return _wrong_value(view, option) or _wrong_members(view, option)


def _wrong_value(view: type[QuerySetZipViewMixin], option: Callable[[str], Any]) -> str | None:
    """Return what is wrong with an option whatever the rows are."""
    for name, is_valid, problem in _OPTIONS:
        value = option(name)
        if not (_is_property(value) or is_valid(value)):
            return problem.format(value)
    is_large_prepared = option("ids_param") is not None and option("export_over") is not None
    if is_large_prepared and not _is_overridden(view, "get_export_url"):
        return "the export_view would prepare all rows: with ids_param, override get_export_url"
    return None


def _wrong_members(view: type[QuerySetZipViewMixin], option: Callable[[str], Any]) -> str | None:
    """Return what is wrong with how members are made of the rows."""
    is_named = _is_overridden(view, "get_member_name")
    if is_named and "name" in (option("member_options") or {}):
        return "get_member_name names members: member_options can't have a name too"
    if _is_overridden(view, "get_members") or _is_overridden(view, "get_member_options"):
        return None  # it may use the options in other ways
    if any(_is_property(option(name)) for name in ("file_fields", "member_options", "model")):
        return None
    names = {"name": view.get_member_name} if is_named else {}
    try:
        rows, options = _rows_of(view, option), option("member_options")
        check_options(rows, *option("file_fields"), **options, **names)
    except (ValueError, TypeError) as error:
        return f"file_fields or member_options are wrong: {error}"
    return None


# What an option must be, and what to say of another value.
_OPTIONS: Final[tuple[tuple[str, Callable[[Any], bool], str], ...]] = (
    (
        "ids_required",
        lambda value: value is None,
        'ids_required is gone: ids_param = "ids" requires ids, and ids_param = None ignores them',
    ),
    (
        "ids_param",
        lambda value: value is None or (isinstance(value, str) and value != ""),
        "ids_param must be a name or None, not {!r}",
    ),
    (
        "ids_param",
        lambda value: value != SELECTION_PARAM,
        "ids_param can't be {!r}, the parameter of the URL that a POST redirects to",
    ),
    (
        "paginate_by",
        lambda value: value is None,
        "paginate_by has no effect, an archive has all rows: slice them in get_queryset()",
    ),
    (
        "file_fields",
        lambda value: not isinstance(value, str),
        "file_fields must be a tuple: ({!r},)",
    ),
)


def _is_overridden(view: type[Any], method: str) -> bool:
    """Return whether a view's method isn't the one of this package."""
    return bool(getattr(view, method).__module__ != __name__)


def _rows_of(
    view: type[QuerySetZipViewMixin], option: Callable[[str], Any]
) -> QuerySet[Any] | None:
    """Return the rows that a view will serve, None where only its methods know them."""
    model, queryset = option("model"), option("queryset")
    if not apps.models_ready or view.get_queryset is not MultipleObjectMixin.get_queryset:
        return None
    if isinstance(queryset, QuerySet):
        return queryset
    return rows_to_check(model) if model is not None and queryset is None else None


class AsyncZipDownloadView(ZipViewMixin, View):
    """A ZipDownloadView whose `get_members` is asynchronous, for ASGI.

    It may return an asynchronous iterable of members, members with asynchronous contents, or what
    ZipDownloadView takes. With the extra `async`, those in S3, Google Cloud and Azure are read on
    the event loop. Django's LoginRequiredMixin and the like run in a thread: their `dispatch` is
    synchronous, and queries the database for the user.
    """

    @classonlymethod
    def as_view(cls, **initkwargs: Any) -> Callable[..., Any]:
        """Return the view, which is asynchronous even if `dispatch` was overridden.

        Raises:
            ImproperlyConfigured: An option is wrong.
        """
        _check_values(cls, AsyncZipDownloadView, initkwargs, _VALUES)
        view: Callable[..., Any] = super().as_view(**initkwargs)
        if cls.dispatch is View.dispatch or iscoroutinefunction(cls.dispatch):
            return view

        @wraps(view)
        async def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            # A response of the overridden `dispatch`, or the coroutine of what it calls.
            result: Any = await sync_to_async(lambda: view(request, *args, **kwargs))()
            response: HttpResponseBase = await result if isawaitable(result) else result
            return response

        return answered

    async def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer with the archive."""
        try:
            result: Any = self.get_members()
            members = await result if isawaitable(result) else result
            # In a thread: planning 100,000 members takes 0.7 s, and storages are queried.
            return await sync_to_async(self._rendered)(request, members)
        except REFUSALS as error:
            # In a thread: its template may query the database for the user.
            return await sync_to_async(self.without_members)(error)

    def _rendered(self, request: HttpRequest, members: AnyMembers) -> HttpResponseBase:
        check_members(members)
        if isinstance(members, Sequence):
            # They aren't described yet: `zip_response` describes several at a time.
            members = [async_member(member) for member in members]
        return self.render_to_zip(request, members)

    async def head(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer with the headers that GET would have."""
        return await self.get(request, *args, **kwargs)

    async def get_members(self) -> AnyMembers:
        """Return the archive's members, preferably as a list: see ZipDownloadView."""
        raise ImproperlyConfigured(f"{type(self).__name__} needs an async get_members() method")


class AsyncQuerySetZipDownloadView(QuerySetZipViewMixin, AsyncZipDownloadView):
    """A QuerySetZipDownloadView for ASGI, which reads files in object stores on the event loop.

    `get_queryset` and what else may be overridden is synchronous, as in Django's views: it is
    called in a thread.
    """

    async def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Redirect to a GET for the ids in a form, as QuerySetZipDownloadView does."""
        return await sync_to_async(self._redirect)(request)

    async def get_members(self) -> AnyMembers:
        """Return a member for each file of the rows."""
        return await sync_to_async(self._members_of_rows)()
