"""A selection of rows as a link: signed, for one user and one model, and for a while only.

A download that was started by a POST can't be resumed. So a POST keeps its selection and redirects
to a GET, whose URL holds the primary keys, or where they are too many, a key to where they are
kept on the server.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any, Final

from django.conf import settings
from django.core import signing
from django.core.cache import caches
from django.utils.crypto import get_random_string

_SALT: Final = "django_stream_zip.selection"
# Browsers and servers take URLs of 8 KB. Of that the rest of the URL needs little.
_MAX_TOKEN_LENGTH: Final = 1500
_PRIMARY_KEYS: Final = "django_stream_zip_pks"


class LostSelectionError(Exception):
    """A link is not ours, not for this user, or too old."""


def link_token(owner: str, pks: Iterable[Any], max_age: int) -> str:
    """Give a token for the part of a URL that stands for these rows, for `max_age` seconds.

    `owner` names whom and what it is for; only who gives the same one can open it.
    """
    listed = [str(pk) for pk in pks]
    token = signing.dumps({"pks": listed}, salt=_SALT + owner, compress=True)
    if len(token) <= _MAX_TOKEN_LENGTH:
        return token
    kept = {"key": _keep(listed, max_age)}
    return signing.dumps(kept, salt=_SALT + owner)


def opened(owner: str, token: str, max_age: int) -> list[str]:
    """Give the primary keys that a token stands for. Raises LostSelectionError."""
    try:
        selection = signing.loads(token, salt=_SALT + owner, max_age=max_age)
    except signing.BadSignature as error:
        raise LostSelectionError(str(error)) from error
    pks: list[str] | None = selection.get("pks")
    if pks is None:
        pks = _kept(selection["key"])
    if pks is None:
        raise LostSelectionError("the selection isn't kept any more")
    return pks


def _keep(pks: list[str], max_age: int) -> str:
    """Keep primary keys on the server, give the key to them.

    Where sessions are kept, in one of their own: that works for several processes, which the
    default cache doesn't. Only sessions in cookies leave nothing but the cache.
    """
    store = _session_store()
    if store is None:
        key = get_random_string(32)
        caches["default"].set(f"{_SALT}:{key}", pks, max_age)
        return key
    session = store()
    session[_PRIMARY_KEYS] = pks
    session.set_expiry(max_age)
    session.create()
    return str(session.session_key)


def _kept(key: str) -> list[str] | None:
    store = _session_store()
    if store is None:
        cached: list[str] | None = caches["default"].get(f"{_SALT}:{key}")
        return cached
    found: list[str] | None = store(key).get(_PRIMARY_KEYS)
    return found


def _session_store() -> Any:
    if settings.SESSION_ENGINE.endswith(".signed_cookies"):
        return None
    return import_module(settings.SESSION_ENGINE).SessionStore
