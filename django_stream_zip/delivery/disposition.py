"""The name that a browser saves the archive under: `Content-Disposition`, for any text."""

from __future__ import annotations

import unicodedata
from urllib.parse import quote

# Leaves space for what browsers add ("archive (1).zip.crdownload") to a name of at most 255 bytes.
_MAX_BYTES = 180
_MAX_CHARACTERS = 1024
# Forbidden in Windows' file names, or taken for a path by somebody.
_PATH_CHARACTERS = frozenset('/\\:*?"<>|')
# Control, format (which bidi overrides are), surrogate, line and paragraph separator: none of them
# can be seen in a name.
_INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def attachment(filename: str) -> str:
    """Return the value of a Content-Disposition header (RFC 6266) that saves as `filename`.

    Path, control and bidi characters are left out of the name. A name that isn't ASCII comes in
    both forms, first the ASCII fallback that old clients and curl understand (RFC 6266 §4.3).
    """
    name = safe_filename(filename)
    fallback = safe_filename(_ascii(name))
    value = f'attachment; filename="{fallback}"'
    if fallback != name:
        value += f"; filename*=UTF-8''{quote(name, safe='')}"
    return value


def safe_filename(filename: str) -> str:
    """Return `filename` as one component of a path that any system takes."""
    visible = "".join(
        character
        for character in unicodedata.normalize("NFC", _bounded(filename))
        if unicodedata.category(character) not in _INVISIBLE_CATEGORIES
        and character not in _PATH_CHARACTERS
    )
    name = visible.strip(" .")
    # An ending and no name: an album without a title, for example.
    return "archive.zip" if name.lower() in {"", "zip"} else _shortened(name)


def _bounded(name: str) -> str:
    """Cut what is far too long anyway: composing takes time with the square of a run of marks."""
    if len(name) <= _MAX_CHARACTERS:
        return name
    return name[: _MAX_CHARACTERS - 16] + name[-16:]


def _shortened(name: str) -> str:
    """Cut a long name, in UTF-8, but keep its extension."""
    if len(name.encode()) <= _MAX_BYTES:
        return name
    stem, dot, extension = name.rpartition(".")
    if not dot or len(extension.encode()) > 10:
        stem, extension = name, ""
    extension = dot + extension if extension else ""
    length = _MAX_BYTES - len(extension.encode())
    return stem.encode()[:length].decode(errors="ignore").rstrip(" .") + extension


def _ascii(name: str) -> str:
    """Return the name without accents, and with `_` for what has no ASCII.

    `%` goes too: some browsers would decode it in the quoted form.
    """
    decomposed = unicodedata.normalize("NFKD", name)
    letters = "".join(c for c in decomposed if not unicodedata.combining(c))
    return "".join(c if " " <= c <= "~" and c != "%" else "_" for c in letters)
