"""What all builders decide alike: the method by the kind of file, the time, the mode."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from stat import S_IFREG
from typing import Any, Final

from django.utils import timezone
from django.utils.functional import Promise

from django_stream_zip import NO_COMPRESSION_AUTO, Method, conf
from django_stream_zip.engine.accelerators import FAST, Deflate
from django_stream_zip.engine.methods import deflated, zlib_at
from django_stream_zip.engine.names import safe_name
from django_stream_zip.members.misuse import check_time
from django_stream_zip.planning.content import AsyncContent, Content, ContentChangedError

ContentMember = tuple[str, datetime, int, Method, Content]
AsyncContentMember = tuple[str, datetime, int, Method, AsyncContent]

DEFAULT_MODE: Final = S_IFREG | 0o644

#: Extensions of files whose bytes are compressed already: deflating them again costs time, saves
#: nothing, and takes length and ranges from the archive. A list of our own, because what
#: `mimetypes` knows differs between hosts, and with it the bytes of an archive would.
COMPRESSED: Final = frozenset(
    # images
    "jpg jpeg jpe jfif png gif webp avif heic heif jp2 jxl "
    # video and audio
    "mp4 m4v mov mkv webm avi wmv flv mpg mpeg 3gp ts "
    "mp3 m4a aac ogg oga ogv opus flac wma "
    "wav aif aiff "  # not compressed, but deflate finds little to save in sound
    # archives
    "zip gz tgz bz2 tbz2 xz txz zst 7z rar lz lz4 lzma br cab jar war apk whl "
    # documents that are archives inside, fonts, columnar data
    "pdf docx docm xlsx xlsm pptx pptm odt ods odp odg epub "
    "woff woff2 parquet kmz vsdx sketch key pages numbers".split()
)


_COMPRESSED: Final = frozenset(f".{extension}" for extension in COMPRESSED)

#: Extensions of files that are written to for as long as a program runs.
_GROWING: Final = frozenset({".log"})


class DefaultDeflate(Method):
    """How a builder deflates a member of which nobody said that it is to be deflated.

    Whether it is depends on the whole archive: see `compression`.
    """

    __slots__ = ()


def build_member(
    name: str,
    modified_at: datetime,
    mode: int,
    compress: bool | None,
    content: Content,
    stored_name: str = "",
) -> ContentMember:
    """Make a member, not compressed if its name says that it is already, or as `compress` says.

    None leaves it to the archive whether one is compressed that can be.

    Whatever the name is made of (a title that somebody typed, say), it becomes a safe one. If it
    has no extension, that of `stored_name` decides.
    """
    if modified_at.__class__ is not datetime:
        check_time(name, modified_at)
    name = safe_name(name if name.__class__ is str else text(name))
    if compress is None:
        suffix = _suffix(name) or _suffix(stored_name)
        is_compressed = suffix.lower() in _COMPRESSED
        method = _method(not is_compressed, content, DefaultDeflate)
    else:
        method = _method(compress, content)
    return name, wall_clock(modified_at), mode, method, content


def may_grow(path: str) -> bool:
    """Return whether a file is of a kind that has other sizes from one moment to the next."""
    return _suffix(path).lower() in _GROWING


def _suffix(path: str) -> str:
    """Return the last extension of a file, with its dot; "" if it has none, as ".bashrc" has."""
    name = path[path.rfind("/") + 1 :]
    dot = name.rfind(".")
    return name[dot:] if 0 < dot < len(name) - 1 else ""


def wall_clock(modified_at: datetime) -> datetime:
    """Return a time as the site's clocks show it, as ZIP has no time zones.

    It is the zone of TIME_ZONE and not the client's: an archive is the same for everybody.
    """
    zone, own = timezone.get_default_timezone(), modified_at.tzinfo
    if own is None or own is zone:
        return modified_at
    try:
        is_aware = own is UTC or modified_at.utcoffset() is not None
        return modified_at.astimezone(zone) if is_aware else modified_at
    except (OverflowError, ValueError):
        return modified_at  # next to the year 1 or 9999: a ZIP holds neither, in any zone


def time_of(seconds: float, zone: tzinfo = UTC) -> datetime:
    """Return the time of so many seconds since 1970, or the nearest there is: files have any."""
    try:
        return datetime.fromtimestamp(seconds, zone)
    except (OverflowError, OSError, ValueError):
        nearest = datetime.min if seconds < 0 else datetime.max
        return nearest.replace(tzinfo=UTC)


def seconds_of(modified_at: datetime) -> float | str:
    """Return what tells a time from others: its seconds since 1970, if it has such."""
    try:
        return modified_at.timestamp()
    except (OverflowError, OSError, ValueError):
        return modified_at.isoformat()


def text(value: Any) -> Any:
    """Return a lazy translation as the text that it is now, in the language that is active.

    All else is returned as it is: what uses it says what is wrong with it.
    """
    return str(value) if isinstance(value, Promise) else value


def unexpected(name: str) -> ContentChangedError:
    """Return what to raise for a file that isn't what was said of it."""
    return ContentChangedError(
        f"{name} has another size or state than was declared: it was overwritten since, or the row "
        "that declares it is wrong ('manage.py zip_metadata --all' fills rows anew)"
    )


def _method(compress: bool, content: Content, deflate: type[Method] = Method) -> Method:
    if compress or content.size is None:
        return deflate._make(deflated(content.size, _deflate()))
    return NO_COMPRESSION_AUTO(content.size, content.crc_32)


def _deflate() -> Deflate:
    level = conf.get("COMPRESSION_LEVEL")
    return FAST if level is None else zlib_at(level)
