"""The settings: one dict, `DJANGO_STREAM_ZIP`, read whenever a value is needed."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

SETTING: Final = "DJANGO_STREAM_ZIP"


class Key(NamedTuple):
    """A key of the setting: its default, and what its value must be, in words and as a test."""

    default: Any
    must_be: str
    is_valid: Callable[[Any], bool]


def _is_integer(minimum: int, maximum: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and minimum <= value <= maximum


def _is_none_or(is_valid: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or is_valid(value)


def _is_pair(pair: tuple[Any, Any]) -> bool:
    """Whether these are the paths of a storage class and of what has a reader's methods."""
    try:
        storage, reader = map(import_string, pair)
    except (ImportError, AttributeError, TypeError):
        return False
    return isinstance(storage, type) and hasattr(reader, "describe") and hasattr(reader, "chunks")


KEYS: Final = {
    # zlib's level for members that the builders deflate. None is the fastest way there is to a good
    # size: ISA-L at level 2 where the extra `fast` is installed, else zlib-ng or zlib at level 6. A
    # download is made while somebody waits, and level 9 takes several times as long for a percent.
    "COMPRESSION_LEVEL": Key(
        None, "an integer from -1 to 9, or None", _is_none_or(_is_integer(-1, 9))
    ),
    # Which cache keeps the CRC-32s that are learned while sending. Without one, a resumed download
    # reads again what it has to know.
    "CRC_32_CACHE": Key(
        "default",
        "the alias of a cache in CACHES, or None",
        _is_none_or(lambda value: isinstance(value, str) and value in settings.CACHES),
    ),
    # For how many seconds; None is for ever.
    "CRC_32_CACHE_TIMEOUT": Key(
        30 * 24 * 60 * 60,
        "a number of seconds, 1 or more, or None",
        _is_none_or(_is_integer(1, 2**31)),
    ),
    # How many files in remote storages are described at a time for each download, by as many
    # threads. A description is a round trip and hardly a byte, so more of them than of bodies: 200
    # files 30 ms away take a quarter of a second. 0: one after the other.
    "DESCRIBE_AT_ONCE": Key(32, "a number of files, 0 to 128", _is_integer(0, 128)),
    # How much larger an archive may become by storing what could be deflated, 0.1 for a tenth: one
    # whose members are all stored has a length and can be resumed, which is worth more than that.
    # None: any share, so that nothing is deflated unless a builder is told to.
    "MAX_GROWTH_BY_STORING": Key(
        0.1,
        "a number, 0 or more, or None",
        _is_none_or(lambda value: type(value) in (int, float) and 0 <= value < inf),
    ),
    # How many members, and bytes of content, a queryset's archive may have at most. None: any.
    "MAX_MEMBERS": Key(None, "a number, 1 or more, or None", _is_none_or(_is_integer(1, 2**63))),
    "MAX_BYTES": Key(None, "a number, 1 or more, or None", _is_none_or(_is_integer(1, 2**63))),
    # How many bytes may be read for a range without being sent: content before it whose CRC-32 the
    # archive's end tells and nobody knows. A client doesn't pace that by reading, and a server
    # under WSGI doesn't notice that the client has gone. Beyond it, the range is ignored.
    "MAX_UNSENT_BYTES": Key(
        64 << 20, "a number of bytes, 0 or more, or None", _is_none_or(_is_integer(0, 2**63))
    ),
    # How many members in remote storages are fetched at a time for each download, by as many
    # threads, and how many bytes may wait for their turn. 0 members: each is fetched in its turn.
    "PREFETCH_MEMBERS": Key(8, "a number of members, 0 to 64", _is_integer(0, 64)),
    "PREFETCH_BYTES": Key(4 << 20, "a number of bytes, 0 or more", _is_integer(0, 2**40)),
    # Readers for storage classes that aren't known, or other ones for those that are.
    "READERS": Key(
        {},
        "a dict of dotted paths of storage classes to those of readers, which can be imported",
        lambda value: isinstance(value, dict) and all(map(_is_pair, value.items())),
    ),
    # Whether database connections are given back before the first byte: a download takes minutes,
    # and nobody else could use them meanwhile. Those in an atomic block are kept in any case.
    "RELEASE_CONNECTIONS": Key(True, "True or False", lambda value: isinstance(value, bool)),
    # Which cache keeps selections of rows that are too long for a URL. All workers have to share
    # it, which nobody can be sure of for the default one: None keeps them where sessions are kept.
    "SELECTION_CACHE": Key(
        None,
        "the alias of a cache in CACHES, or None",
        _is_none_or(lambda value: isinstance(value, str) and value in settings.CACHES),
    ),
    # How many threads deflate and encrypt for each download, besides its own. Each takes 1.5 MiB
    # of memory. 0: none, and nothing is read ahead.
    "WORKERS": Key(0, "a number of threads, 0 to 64", _is_integer(0, 64)),
}


# The last value of each key that was found valid. Kept itself and not its `id()`, which another one
# may have later.
_valid: dict[str, Any] = {}


def get(key: str) -> Any:
    """Return the value of a setting, or its default.

    Raises ImproperlyConfigured, with the words of the system check, for a wrong value: servers
    don't run checks.
    """
    given = getattr(settings, SETTING, {})
    if wrong := wrong_type(given):
        raise ImproperlyConfigured(wrong)
    if key not in given:
        return KEYS[key].default
    value = given[key]
    if key not in _valid or _valid[key] is not value:
        if wrong := wrong_value(key, value):
            raise ImproperlyConfigured(wrong)
        _valid[key] = value
    return value


def wrong_type(given: Any) -> str | None:
    """Return what is wrong with the setting as a whole, if anything is."""
    if isinstance(given, dict):
        return None
    return f"{SETTING} must be a dict, not {type(given).__name__}."


def wrong_value(key: str, value: Any) -> str | None:
    """Return what is wrong with the value of a key, if anything is."""
    if KEYS[key].is_valid(value):
        return None
    return f"{SETTING}[{key!r}] must be {KEYS[key].must_be}, not {value!r}."
