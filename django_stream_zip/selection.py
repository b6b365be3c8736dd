"""A selection of rows: read from a request, kept in a link, and found again in a queryset.

A download that was started by a POST can't be resumed. So a POST redirects to a GET whose URL has
the primary keys, signed for one user, one place and a limited time. If they are too many for a URL,
it has the digest of a token that is stored on the server.

`zip_link` signs a whole URL instead, for somebody without an account.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from importlib import import_module
from itertools import accumulate, chain, pairwise
from types import SimpleNamespace
from typing import Any, Final, cast
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from django.apps import apps
from django.conf import settings
from django.contrib.sessions.backends.base import CreateError, UpdateError
from django.contrib.sessions.backends.signed_cookies import SessionStore as SignedCookieStore
from django.core import signing
from django.core.cache import caches
from django.core.exceptions import FieldError, ValidationError
from django.db import connections
from django.db.models import (
    BinaryField,
    BooleanField,
    CharField,
    CompositePrimaryKey,
    F,
    Field,
    Func,
    IntegerField,
    Model,
    QuerySet,
    TextField,
    UUIDField,
)
from django.http import HttpRequest
from django.utils.crypto import salted_hmac
from django.utils.timezone import is_naive, make_aware
from django.utils.translation import gettext_lazy as _

from django_stream_zip import conf
from django_stream_zip.members import TooManyMembersError

__all__ = [
    "LINK_PARAM",
    "LostSelectionError",
    "SelectionError",
    "UnknownRowsError",
    "is_linked",
    "keys_of",
    "link_token",
    "opened",
    "rows",
    "scope_of",
    "spelled_key",
    "zip_link",
]

#: The parameter that `zip_link` adds to a URL.
LINK_PARAM: Final = "zip_link"

_SALT: Final = "django_stream_zip.selection"
_LINK_SALT: Final = "django_stream_zip.link"
# Browsers and servers take URLs of 8 KB, gunicorn of 4 KB. The rest of the URL is short.
_MAX_TOKEN_LENGTH: Final = 1500
# The key of a session of ours that holds tokens, and how many it holds: the newest.
_TOKENS: Final = "django_stream_zip_selections"
_MAX_TOKENS: Final = 8
# All who aren't logged in share so many sessions of ours.
_ANONYMOUS_SESSIONS: Final = 256
# Python's int() also reads spaces, underscores and full-width digits, which no page of ours sends.
_SPELLINGS: Final[dict[type[Field[Any, Any]], re.Pattern[str]]] = {
    IntegerField: re.compile(r"-?[0-9]{1,40}"),
    UUIDField: re.compile(r"[0-9A-Za-z{}:-]{32,60}"),
}
# What fields raise for what is no value of theirs: timedelta an OverflowError, for example.
_NO_VALUE: Final = (ValidationError, ValueError, ArithmeticError)


class SelectionError(Exception):
    """A selection can't be had. The text is for the client, and reveals nothing about the rows."""


class UnknownRowsError(SelectionError):
    """A text doesn't spell a key, or the queryset has no row with that key."""


class LostSelectionError(SelectionError):
    """A link isn't ours, is for another user or place, is too old, or its token was dropped."""


# Keys.


def keys_of(model: type[Model], given: Iterable[str]) -> set[Any]:
    """Return the primary keys that strings of a request spell.

    A composite key is spelled as a JSON list: [1, "de"].

    Raises:
        UnknownRowsError: A string doesn't spell a key of this model.
    """
    pk: Any = model._meta.pk
    try:
        if isinstance(pk, CompositePrimaryKey):
            return {_composite_key(pk, value) for value in given}
        field = _target(pk)
        return {_key(field, value) for value in given}
    except (*_NO_VALUE, TypeError, RecursionError) as error:
        raise UnknownRowsError(_("The selected items were not found.")) from error


def spelled_key(instance: Model) -> str:
    """Return an instance's primary key as `keys_of` reads it."""
    pk: Any = instance._meta.pk
    if not isinstance(pk, CompositePrimaryKey):
        return _spelled(_target(pk), instance.pk)
    parts = zip(pk.fields, instance.pk, strict=True)
    return json.dumps([_spelled(_target(field), part) for field, part in parts])


def _key(field: Field[Any, Any], value: str) -> Any:
    # PostgreSQL refuses NUL in text, so no key has it. (To encode refuses surrogates.)
    if b"\0" in value.encode():
        raise ValueError("not a text")
    for kind, spelling in _SPELLINGS.items():
        if isinstance(field, kind) and not spelling.fullmatch(value):
            raise ValueError(f"not a value of {kind.__name__}")
    if not value:
        raise ValueError("not a key")
    key = field.to_python(value)
    # What the database would refuse. It takes any text: whether a row may have that is no question
    # here, and older rows may have what the choices and validators of today refuse.
    if not isinstance(field, CharField | TextField):
        field.run_validators(key)
    return _moment(key) if isinstance(key, datetime) else key


def _moment(given: datetime) -> datetime:
    """Return the same moment in UTC: zones reach beyond the first and last year of databases."""
    if not settings.USE_TZ:
        return given
    return (make_aware(given) if is_naive(given) else given).astimezone(UTC)


def _composite_key(pk: CompositePrimaryKey, value: str) -> tuple[Any, ...]:
    parts = json.loads(value)
    if not isinstance(parts, list) or not all(type(part) in (int, str) for part in parts):
        raise ValueError("not a list of numbers and texts")
    return tuple(
        _key(_target(field), str(part)) for field, part in zip(pk.fields, parts, strict=True)
    )


def _target(field: Any) -> Field[Any, Any]:
    """Follow a foreign key, whose own check would query the database, to the field it refers to."""
    while field.is_relation:
        field = field.target_field
    found: Field[Any, Any] = field
    return found


# Rows.


def rows(queryset: QuerySet[Any], keys: Collection[Any]) -> QuerySet[Any]:
    """Return the rows of a queryset that have these primary keys, in its order.

    Raises:
        UnknownRowsError: There are no keys, or not each of them has a row.
        TooManyMembersError: The database can't look up so many keys.
    """
    if not keys:
        raise UnknownRowsError(_("Nothing was selected."))
    selected = _among(_filterable(queryset, keys), keys)
    if selected.order_by().values("pk").distinct().count() != len(keys):
        raise UnknownRowsError(_("The selected items were not found."))
    return selected


def _filterable(queryset: QuerySet[Any], keys: Collection[Any]) -> QuerySet[Any]:
    """Return a queryset that can be filtered by key without getting rows that this one lacks.

    A slice and a union can't be filtered, and with a filter DISTINCT ON or a window would pick
    other rows. For these the keys are compared here.
    """
    query = queryset.query
    windowed = any(annotation.contains_over_clause for annotation in query.annotations.values())
    if not (query.is_sliced or query.combinator or query.distinct_fields or windowed):
        return queryset
    if not set(keys) <= set(queryset.values_list("pk", flat=True)):
        raise UnknownRowsError(_("The selected items were not found."))
    if query.combinator:
        combined: QuerySet[Any] = QuerySet(queryset.model, using=queryset.db)
        with suppress(FieldError):  # by an annotation, which only the union has
            combined = combined.order_by(*query.order_by)
        return combined
    unsliced = queryset.all()
    unsliced.query.clear_limits()
    return unsliced


def _among(queryset: QuerySet[Any], keys: Collection[Any]) -> QuerySet[Any]:
    connection = connections[queryset.db]
    pk: Any = queryset.model._meta.pk
    is_composite = isinstance(pk, CompositePrimaryKey)
    fields = [_target(field) for field in (pk.fields if is_composite else [pk])]
    held = _HELD.get(connection.vendor)
    if held is None or any(isinstance(field, BinaryField) for field in fields):
        return _in_list(queryset, keys)
    columns = zip(*keys, strict=True) if is_composite else [keys]
    try:
        params = held(
            [
                [field.get_db_prep_value(value, connection) for value in column]
                for field, column in zip(fields, columns, strict=True)
            ]
        )
    except _NO_VALUE as error:
        raise UnknownRowsError(_("The selected items were not found.")) from error
    return queryset.filter(_HasKey(*(pk.field_names if is_composite else ["pk"]), params=params))


def _in_list(queryset: QuerySet[Any], keys: Collection[Any]) -> QuerySet[Any]:
    # MySQL takes any number of variables, Oracle 65,535.
    limit = connections[queryset.db].features.max_query_params
    if limit is not None and len(keys) > limit:
        raise TooManyMembersError(limit, len(keys))
    return queryset.filter(pk__in=keys)


# How a database holds columns of keys in one variable, or in one for each. (What SQLite's driver
# turns into text isn't known to JSON: decimals.)
_HELD: Final[dict[str, Callable[[list[list[Any]]], list[Any]]]] = {
    "sqlite": lambda columns: [
        json.dumps(list(zip(*columns, strict=True)), allow_nan=False, default=str)
    ],
    "postgresql": lambda columns: columns,
}


class _HasKey(Func):
    """Whether a row's key, of one column or several, is among those in one query parameter.

    A parameter for each key would be too many: SQLite takes 32,766 and PostgreSQL 65,535.
    """

    def __init__(self, *names: str, params: list[Any]) -> None:
        super().__init__(*map(F, names), output_field=BooleanField())
        self._params = params

    @property
    def identity(self) -> tuple[Any, ...]:
        return type(self), *self.source_expressions, id(self._params)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, Any]:
        numbers = range(len(self.source_expressions))
        columns = ", ".join(f"json_extract(value, '$[{n}]')" for n in numbers)
        found = f"SELECT {columns} FROM json_each(%s)"  # noqa: S608
        return self._is_in(compiler, found, self._params)

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, Any]:
        fields = [_target(source.output_field) for source in self.source_expressions]
        # Without a length: a cast to varchar(20) would truncate longer keys.
        types = [str(field.cast_db_type(connection)).partition("(")[0] for field in fields]
        arrays = ", ".join(f"%s::{name}[]" for name in types)
        found = f"SELECT * FROM unnest({arrays})"  # noqa: S608
        return self._is_in(compiler, found, self._params)

    def _is_in(self, compiler: Any, found: str, params: list[Any]) -> tuple[str, tuple[Any, ...]]:
        names, before = zip(*map(compiler.compile, self.source_expressions), strict=True)
        return f"({', '.join(names)}) IN ({found})", (*chain.from_iterable(before), *params)


# Links.


def scope_of(request: HttpRequest, *place: str) -> str:
    """Return the scope of a link: its user, and the place it is for."""
    user: Any = getattr(request, "user", None)
    return json.dumps([None if user is None or user.pk is None else str(user.pk), *place])


def link_token(model: type[Model], scope: str, keys: Iterable[Any], max_age: int) -> str:
    """Return a token for a URL that stands for these keys, for `max_age` seconds.

    Only the same scope can open it.
    """
    compact = compacted(model, keys)
    token = signing.dumps(compact, salt=_SALT + scope, compress=True)
    if len(token) <= _MAX_TOKEN_LENGTH:
        return token
    digest = sha256(json.dumps(compact).encode()).hexdigest()
    _store(scope, digest, token, max_age)
    return signing.dumps({"kept": digest}, salt=_SALT + scope)


def opened(model: type[Model], scope: str, token: str, max_age: int) -> set[Any]:
    """Return the keys that a token stands for.

    Raises:
        LostSelectionError: It isn't valid in this scope, or not any more.
    """
    compact = _verified(scope, token, max_age)
    if "kept" in compact:
        stored = _stored(scope, compact["kept"])
        if stored is None:
            raise LostSelectionError(_("This selection is no longer stored. Select again."))
        compact = _verified(scope, stored, max_age)
    try:
        return expanded(model, compact)
    except (ValidationError, ValueError, TypeError) as error:
        raise LostSelectionError(_("This download link is no longer valid.")) from error


def _verified(scope: str, token: str, max_age: int) -> Any:
    try:
        return signing.loads(token, salt=_SALT + scope, max_age=max_age)
    except (signing.BadSignature, ValueError) as error:
        raise LostSelectionError(_("This download link is no longer valid.")) from error


def compacted(model: type[Model], keys: Iterable[Any]) -> dict[str, Any]:
    """Return keys in the form that compresses best: 100,000 integers in a row become 300 bytes."""
    pk: Any = model._meta.pk
    listed = list(keys)
    if all(type(key) is int for key in listed):
        listed.sort()
        return {"steps": [after - before for before, after in pairwise([0, *listed])]}
    if isinstance(pk, CompositePrimaryKey):
        fields = [_target(field) for field in pk.fields]
        tuples = (zip(fields, key, strict=True) for key in listed)
        return {"tuples": sorted([_spelled(*part) for part in parts] for parts in tuples)}
    field = _target(pk)
    return {"keys": sorted(_spelled(field, key) for key in listed)}


def _spelled(field: Field[Any, Any], value: Any) -> str:
    """Return the text that the field's `to_python` reads, as Django's serializers do."""
    return str(field.value_to_string(cast(Any, SimpleNamespace(**{field.attname: value}))))


def expanded(model: type[Model], compact: dict[str, Any]) -> set[Any]:
    pk: Any = model._meta.pk
    if "steps" in compact:
        return set(accumulate(compact["steps"]))
    if "tuples" in compact:
        fields = [_target(field) for field in pk.fields]
        return {
            tuple(field.to_python(part) for field, part in zip(fields, key, strict=True))
            for key in compact["tuples"]
        }
    field = _target(pk)
    return {field.to_python(key) for key in compact["keys"]}


# Links for somebody without an account.


def zip_link(url: str, *, max_age: float | timedelta, request: HttpRequest | None = None) -> str:
    """Return a link to a view with SignedZipLinkMixin that works without an account for a time.

    Whoever has the link may download what the view sends for exactly this URL: host, path and query
    are signed, with the settings' SECRET_KEY. (Keys in SECRET_KEY_FALLBACKS open it, too.)

    Args:
        url: What to link to, such as `reverse("album-zip", args=[7])`, with its query if it has
            one. Without a host, that of the `request`.
        max_age: For how long downloads can be started or resumed, in seconds or as a timedelta.
        request: The request whose host it is, where the URL has none.

    Raises:
        ValueError: The URL has no host and there is no request, or `max_age` isn't positive.
    """
    absolute = str(url) if request is None else request.build_absolute_uri(url)
    parts = urlsplit(absolute)
    seconds = max_age.total_seconds() if isinstance(max_age, timedelta) else max_age
    if not parts.netloc:
        raise ValueError("a link needs a host: pass request=, or a URL that begins with https://")
    if not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
        raise ValueError(f"max_age must be more than 0 seconds, not {max_age!r}")
    expires = str(int(time.time() + seconds))
    # A link can be signed anew, for longer.
    query = [(name, value) for name, value in _pairs(parts.query) if name != LINK_PARAM]
    token = _link_signer(parts.netloc, unquote(parts.path), query).sign(expires)
    signed = urlencode([*query, (LINK_PARAM, token)], errors="surrogateescape")
    return urlunsplit(parts._replace(path=parts.path or "/", query=signed, fragment=""))


def is_linked(request: HttpRequest) -> bool:
    """Return whether a request is for a URL that `zip_link` made, host and all, in its time."""
    query = _pairs(request.META.get("QUERY_STRING", ""))
    tokens = [value for name, value in query if name == LINK_PARAM]
    rest = [(name, value) for name, value in query if name != LINK_PARAM]
    # A body could say more than the URL.
    if len(tokens) != 1 or request.method not in {"GET", "HEAD"}:
        return False
    try:
        expires = _link_signer(request.get_host(), request.path, rest).unsign(tokens[0])
    except signing.BadSignature:
        return False
    return time.time() < int(expires)


def _pairs(query: str) -> list[tuple[str, str]]:
    """Return the names and values of a query string, in their order; no two bytes look alike."""
    return parse_qsl(query, keep_blank_values=True, errors="surrogateescape")


def _link_signer(host: str, path: str, query: list[tuple[str, str]]) -> signing.Signer:
    return signing.Signer(salt=_LINK_SALT + json.dumps([host.lower(), path or "/", query]))


# Tokens on the server.


def _store(scope: str, digest: str, token: str, max_age: int) -> None:
    """Store a long token: in a cache, or where sessions are, which all workers share.

    A session for each token would stay until it expires, so there is one for each scope, with the
    newest tokens. Its key is secret, so nobody can use it as a session of their own.
    """
    cache, place = _cache(), _place(scope, digest, settings.SECRET_KEY)
    if cache is not None:
        cache.set(place, token, max_age)
        return
    session = _session(place)
    tokens = {**session.get(_TOKENS, {})}
    tokens.pop(digest, None)
    session[_TOKENS] = dict([*tokens.items(), (digest, token)][-_MAX_TOKENS:])
    session.set_expiry(max_age)
    is_new = session.session_key is None  # one that couldn't be loaded has lost its key
    session._session_key = place
    # Another request may have created or deleted it meanwhile, and an expired one still exists.
    for must_create in (is_new, not is_new, is_new):
        try:
            session.save(must_create=must_create)
        except (CreateError, UpdateError):
            continue
        return


def _stored(scope: str, digest: str) -> str | None:
    cache = _cache()
    # A key that was replaced still opens links, so it still finds what they stand for.
    for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        place = _place(scope, digest, secret)
        tokens = _session(place).get(_TOKENS, {}) if cache is None else {digest: cache.get(place)}
        if found := tokens.get(digest):
            return str(found)
    return None


def _place(scope: str, digest: str, secret: str | bytes) -> str:
    """Return the key of the cache or session where a token is stored."""
    if _cache() is not None:
        within = digest  # a cache evicts by itself
    elif json.loads(scope)[0] is None:
        within = str(int(digest, 16) % _ANONYMOUS_SESSIONS)
    else:
        within = ""
    place = salted_hmac(_SALT, scope + within, secret=secret, algorithm="sha256")
    return place.hexdigest()[:32]


def _cache() -> Any:
    """Return the cache that the setting names; the default one if the server stores no sessions."""
    name: str | None = conf.get("SELECTION_CACHE")
    if name is None and not _keeps_sessions():
        name = "default"
    return None if name is None else caches[name]


def _keeps_sessions() -> bool:
    """Return whether the server keeps sessions, which cookies can do as well."""
    is_installed = apps.is_installed("django.contrib.sessions")
    return is_installed and not isinstance(_session(""), SignedCookieStore)


def _session(key: str) -> Any:
    return import_module(settings.SESSION_ENGINE).SessionStore(key)
