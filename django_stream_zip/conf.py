"""The settings: one dict, `DJANGO_STREAM_ZIP`, read whenever a value is needed.

docs/settings.rst describes each key for users.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from pkgutil import resolve_name
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

__all__ = ["KEYS", "NAME", "Key", "get", "wrong_type", "wrong_value"]

NAME: Final = "DJANGO_STREAM_ZIP"


class Key(NamedTuple):
    """A key of the dict: its default, and what its value must be, in words and as a test."""

    default: Any
    must_be: str
    is_valid: Callable[[Any], bool]


def _is_integer(minimum: int, maximum: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and minimum <= value <= maximum


def _is_none_or(is_valid: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or is_valid(value)


def _is_table(is_valid: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Return a test for a dict of paths of storage classes to those of things that are valid."""

    def is_pair(pair: tuple[Any, Any]) -> bool:
        try:
            storage, other = map(import_string, pair)
        except (ImportError, AttributeError, TypeError):
            return False
        return isinstance(storage, type) and is_valid(other)

    return lambda value: isinstance(value, dict) and all(map(is_pair, value.items()))


def _is_reader(value: Any) -> bool:
    return hasattr(value, "describe") and hasattr(value, "chunks")


def _is_writer(value: Any) -> bool:
    return hasattr(value, "check") and (hasattr(value, "begin") or hasattr(value, "save"))


def _is_function(value: Any) -> bool:
    try:
        return callable(resolve_name(value))
    except (ImportError, AttributeError, TypeError, ValueError):
        return False


def _is_folder(value: Any) -> bool:
    return isinstance(value, str) and value != "" and {"", ".", ".."}.isdisjoint(value.split("/"))


def _is_sendfile(value: Any) -> bool:
    is_pair = isinstance(value, tuple | list) and len(value) == 2
    return is_pair and value[0] in _SENDFILE_HEADERS and isinstance(value[1], str)


_SENDFILE_HEADERS: Final = ("X-Accel-Redirect", "X-Sendfile")

KEYS: Final = {
    # zlib's level for members that the builders deflate. None is the fastest way to a good size:
    # ISA-L at level 2 where the extra `fast` is installed, else zlib-ng or zlib at level 6. Level 9
    # takes several times as long to save another percent, and a client waits for the download.
    "COMPRESSION_LEVEL": Key(
        None, "an integer from -1 to 9, or None", _is_none_or(_is_integer(-1, 9))
    ),
    # The cache that keeps CRC-32s learned while sending. Without one, a resumed download reads
    # members again only to know their CRC-32.
    "CRC_32_CACHE": Key(
        "default",
        "the alias of a cache in CACHES, or None",
        _is_none_or(lambda value: isinstance(value, str) and value in settings.CACHES),
    ),
    # For how many seconds. None: as long as the cache can.
    "CRC_32_CACHE_TIMEOUT": Key(
        30 * 24 * 60 * 60,
        "a number of seconds, 1 or more, or None",
        _is_none_or(_is_integer(1, 2**31)),
    ),
    # How many files in object stores each download describes at a time, by as many threads. A
    # description is a round trip with hardly a byte, so more of them than bodies can be under way:
    # 200 files 30 ms away take a quarter of a second. 0: one after the other.
    "DESCRIBE_AT_ONCE": Key(32, "a number of files, 0 to 128", _is_integer(0, 128)),
    # What hands a task to the site's task engine: called with its name and its arguments. None is
    # django.tasks, or its backport on Django 5.2.
    "ENQUEUE": Key(
        None,
        "the dotted path of a function, which can be imported, or None",
        _is_none_or(_is_function),
    ),
    # How often an export is begun again without getting further, before it has failed.
    "EXPORT_ATTEMPTS": Key(5, "a number, 1 or more", _is_integer(1, 1000)),
    # Where exports are in the storage.
    "EXPORT_FOLDER": Key("zip_exports", 'a relative path without "." and ".."', _is_folder),
    # For how many seconds the row of an export that is over is kept.
    "EXPORT_KEEP_ROWS": Key(
        30 * 24 * 60 * 60, "a number of seconds, 0 or more", _is_integer(0, 2**31)
    ),
    # For how many seconds a URL signed by the storage is valid. The download must begin within
    # them: permission was checked before it was made.
    "EXPORT_LINK_AGE": Key(300, "a number of seconds, 1 or more", _is_integer(1, 7 * 24 * 60 * 60)),
    # For how many seconds an export can be downloaded.
    "EXPORT_MAX_AGE": Key(
        7 * 24 * 60 * 60, "a number of seconds, 1 or more", _is_integer(1, 2**31)
    ),
    # The model of exports: one that extends AbstractZipExport can have more columns.
    "EXPORT_MODEL": Key(
        "zip_exports.ZipExport",
        'the label of a model, "app.Model"',
        lambda value: isinstance(value, str) and value.count(".") == 1,
    ),
    # Length of the parts that are written to the storage. None: what the storage takes.
    "EXPORT_PART_SIZE": Key(
        None, "a number of bytes, 1 or more, or None", _is_none_or(_is_integer(1, 2**40))
    ),
    # How a web server is told to send a file of this machine, and what its path begins with there.
    "EXPORT_SENDFILE": Key(
        None,
        f"a header, one of {' and '.join(_SENDFILE_HEADERS)}, with a prefix for the file's name, "
        "or None",
        _is_none_or(_is_sendfile),
    ),
    # After how many seconds without a sign of life an export is given to another worker.
    "EXPORT_STALLED_AFTER": Key(300, "a number of seconds, 1 or more", _is_integer(1, 2**31)),
    # The storage of exports.
    "EXPORT_STORAGE": Key(
        "default",
        "the alias of a storage in STORAGES",
        lambda value: isinstance(value, str) and value in settings.STORAGES,
    ),
    # About how many bytes a task makes. A task plans the archive first, which takes a second for
    # 100,000 members; and a worker that is stopped loses one part, not the task.
    "EXPORT_TASK_BYTES": Key(256 << 20, "a number of bytes, 1 or more", _is_integer(1, 2**50)),
    # How much larger an archive may become by storing what could be deflated, 0.1 for a tenth. If
    # all members are stored it has a length and can be resumed, which is worth more than that.
    # None: by any share, so nothing is deflated unless a builder has `compress=True`.
    "MAX_GROWTH_BY_STORING": Key(
        0.1,
        "a number, 0 or more, or None",
        _is_none_or(lambda value: type(value) in (int, float) and 0 <= value < inf),
    ),
    # How many downloads each process sends at a time, and to one user of them. None: any number.
    "MAX_DOWNLOADS": Key(None, "a number, 1 or more, or None", _is_none_or(_is_integer(1, 2**31))),
    "MAX_DOWNLOADS_PER_USER": Key(
        None, "a number, 1 or more, or None", _is_none_or(_is_integer(1, 2**31))
    ),
    # How many members, and bytes of content, a queryset's archive may have. None: any number.
    "MAX_MEMBERS": Key(None, "a number, 1 or more, or None", _is_none_or(_is_integer(1, 2**63))),
    "MAX_BYTES": Key(None, "a number, 1 or more, or None", _is_none_or(_is_integer(1, 2**63))),
    # How many bytes may be read for a range without being sent. The archive's end has the CRC-32s
    # of all members, and those that aren't known have to be computed. No client paces that by
    # reading, and under WSGI a server doesn't notice a client that disconnects. Beyond this number
    # the range is ignored. None: any number.
    "MAX_UNSENT_BYTES": Key(
        64 << 20, "a number of bytes, 0 or more, or None", _is_none_or(_is_integer(0, 2**63))
    ),
    # How many members in object stores each download fetches at a time, by as many threads, and how
    # many bytes of them may be buffered until they are sent. 0 members: nothing is prefetched. By 8
    # at a time 200 small ones 30 ms away take at least 0.75 s; what larger ones need is bounded by
    # the bytes.
    "PREFETCH_MEMBERS": Key(16, "a number of members, 0 to 64", _is_integer(0, 64)),
    "PREFETCH_BYTES": Key(4 << 20, "a number of bytes, 0 or more", _is_integer(0, 2**40)),
    # Readers for storage classes of a site's own, or in place of the package's.
    "READERS": Key(
        {},
        "a dict of dotted paths of storage classes to those of readers, which can be imported",
        _is_table(_is_reader),
    ),
    # Whether database connections are closed before the first byte: a download takes minutes, and
    # nobody else could use them meanwhile. Those in an atomic block stay open in any case.
    "RELEASE_CONNECTIONS": Key(True, "True or False", lambda value: isinstance(value, bool)),
    # The cache that keeps selections of rows that are too long for a URL. All workers have to share
    # it, which isn't certain of the default one: None keeps them where sessions are kept.
    "SELECTION_CACHE": Key(
        None,
        "the alias of a cache in CACHES, or None",
        _is_none_or(lambda value: isinstance(value, str) and value in settings.CACHES),
    ),
    # How many threads deflate and encrypt for each download, besides its own. Each takes up to
    # 1.5 MiB of memory.
    "WORKERS": Key(0, "a number of threads, 0 to 64", _is_integer(0, 64)),
    # Writers for storage classes of a site's own, or in place of the package's.
    "WRITERS": Key(
        {},
        "a dict of dotted paths of storage classes to those of writers, which can be imported",
        _is_table(_is_writer),
    ),
}


# The last valid value of each key: the object and not its `id()`, which another object may get.
_valid: dict[str, Any] = {}


def get(key: str) -> Any:
    """Return the value of a key, or its default.

    Raises:
        ImproperlyConfigured: The value is wrong. The words are those of the system check, which
            servers don't run.
    """
    given = getattr(_source(), NAME, {})
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


def _source() -> Any:
    """Return what has the settings: to say that there is no such one takes a sixth of the time."""
    source: Any = settings
    return source._wrapped if settings.configured else source


def wrong_type(given: Any) -> str | None:
    """Return what is wrong with the setting as a whole, if anything is."""
    if isinstance(given, dict):
        return None
    return f"{NAME} must be a dict, not {type(given).__name__}."


def wrong_value(key: str, value: Any) -> str | None:
    """Return what is wrong with the value of a key, if anything is."""
    if KEYS[key].is_valid(value):
        return None
    return f"{NAME}[{key!r}] must be {KEYS[key].must_be}, not {value!r}."
