r"""Member names that unpack everywhere to what they say: safe, and no two alike.

What a name may be is the least that Windows ("Naming Files, Paths, and Namespaces" in Microsoft's
documentation), macOS (APFS, HFS+), Linux and Info-ZIP's unzip agree on:

- Relative. `\` separates as `/` does: a reader on Windows splits there, whatever was meant. A root
  or drive is left out, and so are components of nothing but dots and spaces, such as `..`.
- In NFC, and of visible characters. White space but the space becomes a space, control and format
  characters (bidi overrides among them) are left out, and what can't be in a name becomes `_`.
- Without what becomes a separator or a colon in other places: NFKC's and what Windows' code pages
  take for one (their "best fit", in old programs that unpack): full-width ones, fraction and
  division slash, and `¥` and `₩`, which are `\` in Japan and Korea. Nor is a component only dots
  after NFKC.
- No component looks like a short name of DOS ("LONGFI~1.TXT"): on FAT and NTFS it may be that of a
  longer name beside it, which then is overwritten.
- No component begins with a space, ends with a space or a dot, or is a device on Windows.
- A component has at most 255 bytes in UTF-8 and a name at most 255 components, so it always fits
  its field. Whether it also fits Windows' MAX_PATH (260), macOS' (1,024) or Linux' (4,096) depends
  on the folder it is unpacked to.

A name ending in `/` is a folder's, any other a file's, whatever else happens to it.
A name that obeys these rules stays as it is.
"""

from __future__ import annotations

import re
import unicodedata
from collections import deque
from collections.abc import Callable, Iterable, MutableSequence, Sequence
from itertools import islice
from typing import Final, TypeAlias

from django_stream_zip.engine.hashed import HashedSet

# ext4, NTFS (in UTF-16 units, which are fewer), APFS.
_MAX_BYTES: Final = 255
# Of a component that is looked at: the extension of a longer one is lost.
_MAX_CHARACTERS: Final = 1024
# With a separator behind each, so many of the longest components fit a name's 65,535 bytes.
_MAX_COMPONENTS: Final = 255
# Room for " (99999999)".
_NUMBER_BYTES: Final = 11

# Splits a component into what is cut and numbered, and what stays behind that.
_Split: TypeAlias = Callable[[str], tuple[str, str]]

# "C:" and "\\?\C:", where a separator or nothing follows. In "C:file" the colon becomes "_".
_DRIVE = re.compile(r"(?:[/\\]+[?.])?[/\\]*[A-Za-z]:(?=[/\\]|$)")

# Two per plane, and a block (Unicode 23.7): never characters.
_NONCHARACTERS = r"\ufdd0-\ufdef" + "".join(
    f"{chr(plane | 0xFFFE)}{chr(plane | 0xFFFF)}" for plane in range(0, 0x110000, 0x10000)
)
# ZERO WIDTH NON-JOINER and JOINER: part of the spelling in Persian and Indic scripts, and of emoji.
_JOINERS: Final = "\u200c\u200d"

# What NFKC makes a separator or a colon of, or has one in; and what bestfit1252, bestfit932 and
# bestfit949 make one of.
_SEPARATORS: Final = (
    r"\u2100\u2101\u2105\u2106\ufe13\ufe55\ufe68\uff0f\uff1a\uff3c\u2a74"
    r"\u2044\u2215\u2216\u29f5\u29f8\u29f9\u2236\u0589\xa5\uffe5\u20a9\uffe6"
)

# What becomes of characters that can't stay, in this order.
_REPLACEMENTS: Final = (
    (r"\\", "/"),
    (r"\t-\r\x85\u2028\u2029", " "),
    # Unicode's categories Cc and Cf without the joiners, and without those that are seen: the
    # Arabic, Syriac and Kaithi number signs and their like.
    (
        r"\0-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff"
        r"\ufff9-\ufffb\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
        r"\U000e0000-\U000e007f",
        "",
    ),
    # Reserved on Windows (and ":" on macOS); halves of surrogate pairs, which is what os.fsdecode
    # makes of bytes that aren't UTF-8.
    (rf'<>:"|?*\ud800-\udfff{_NONCHARACTERS}', "_"),
    (_SEPARATORS, "_"),
)
_RULES: Final = (
    *((re.compile(f"[{characters}]"), becomes) for characters, becomes in _REPLACEMENTS),
    # Joiners with nothing to join.
    (re.compile(rf"(?<![^ ./{_JOINERS}])[{_JOINERS}]|[{_JOINERS}](?![^\0-\x7f{_JOINERS}])"), ""),
)
# All else that the rules change is not printable, which is faster to ask for.
_PRINTABLE_RULED = re.compile(rf'[\\<>:"|?*{_SEPARATORS}]')

# Windows opens a device by these, in any folder, with any extension and spaces before it.
_DEVICE = re.compile(
    r"(?:CON|PRN|AUX|NUL|COM[0-9¹²³]|LPT[0-9¹²³]|CONIN\$|CONOUT\$)(?= *(?:\.|$))",
    re.IGNORECASE | re.ASCII,
)
# unzip takes it for a version of VMS' and leaves it out: "a;1" would overwrite "a".
_VERSION = re.compile(r";(?=[0-9]*$)")

# What needs no look at the rules above: most names are of such components. In ASCII, within the
# length, no device, no tilde (a short name), no semicolon (a version).
_PLAIN = re.compile(
    r"(?!(?:CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])(?![^ .]))\w[\w .,()+-]{0,199}(?<![ .])\Z",
    re.IGNORECASE | re.ASCII,
)

# A number behind a tilde, in eight characters with at most three behind a dot: as Windows and Linux
# (vfat) make them.
_SHORT_NAME = re.compile(r"^(?=[^. ]{1,8}(?:\.|$))([^. ]+)~(?=[0-9]+(?:\.[^. ]{0,3})?$)", re.ASCII)

# Where the last extension names a compression, the one before it belongs to it.
_EXTENSION = re.compile(
    r"(?:\.[a-z][a-z0-9]{0,7}(?=\.(?:gz|bz2|xz|zst|lz4|br|z)$))?\.[^\s.]{1,16}$",
    re.IGNORECASE | re.ASCII,
)
_MAX_EXTENSION: Final = 32
# Of most files.
_USUAL: Final = frozenset(".jpg .jpeg .png .webp .pdf .txt .csv .mp4 .zip .docx .xlsx".split())

# A number to count on from. Not four digits: the next of "Budget (2024)" isn't "Budget (2025)".
_NUMBER = re.compile(r" \(([1-9][0-9]{0,2})\)$")
_MAX_NUMBER: Final = 6

# What comparison passes over on ext4 (with casefold) and HFS+, of what is left in names: joiners,
# variation selectors, fillers (Unicode's Default_Ignorable_Code_Point).
_IGNORED = re.compile(
    rf"[{_JOINERS}\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0"
    r"\U000e0100-\U000e01ef]"
)


def safe_name(name: str) -> str:
    """Return the name of one member as a relative path that is safe on Windows, macOS and Linux.

    A safe name stays as it is. Any text gets one; raises TypeError for what isn't text.
    """
    if name.__class__ is str and _PLAIN.match(name):
        return name
    return "/".join(_components(name))


def extension(name: str) -> str:
    """Return what numbering leaves behind the number: ".tar.gz" of "a.tar.gz", "" of ".bashrc"."""
    ending = name[name.rfind(".") :]
    if ending.lower() in _USUAL and name[0] != ".":
        return ending  # as the pattern finds it, in a third of the time
    return _split(name)[1]


def distinct_names(names: Iterable[str]) -> list[str]:
    """Return safe names for all members of an archive, no two alike without regard to case."""
    distinct = Names()
    return [distinct.of(name) for name in names]


def are_distinct(names: Sequence[str]) -> bool:
    """Return whether `distinct_names` leaves all names as they are, if that is seen at a glance.

    False may mean that it takes a closer look.
    """
    if not all(map(_PLAIN.match, names)):  # in ASCII, and of one component
        return False
    return len(set(map(str.lower, names))) == len(names)


class Names:
    """Makes the names of one archive's members safe, one after the other, and no two the same.

    Names are the same where a file system may take them for the same: without regard to case, to
    normalization, and to characters that aren't seen. The first keeps its name, "report.pdf"; the
    next are "report (1).pdf" and "report (2).pdf".

    A folder is one folder however it is written, and has its first spelling. Where a file has its
    name already, the folder is numbered, for all that is in it. A folder that comes again as a
    member of its own gets the same name again: that member can be left out.

    `changed` has the original and the new name of each member whose name was changed.
    """

    def __init__(self) -> None:
        self.changed: MutableSequence[tuple[str, str]] = []
        # Keys: a component, folded, behind the number of the folder that it is in.
        self._taken: set[str] | HashedSet = set()
        # From a folder's key, to its number and its spelling.
        self._folders: dict[str, tuple[int, str]] = {}
        # From a name without its number, to the next number to try.
        self._numbers: dict[str, int] = {}

    def of(self, name: str) -> str:
        """Return the next member's name."""
        return self._distinct(name, _components(name))

    def of_safe(self, name: str) -> str:
        """Do the same for a name that `safe_name` returned."""
        if "/" in name:
            return self._distinct(name, name.split("/"))
        own = self._own(0, name, _split)
        if own != name:
            self.changed.append((name, own))
        return own

    def _distinct(self, name: str, components: list[str]) -> str:
        last = components.pop()
        parent = 0
        path = ""
        for folder in components:
            parent, spelling = self._folder(parent, folder)
            path += f"{spelling}/"
        if last:
            path += self._own(parent, last, _split)
        if path != name:
            self.changed.append((name, path))
        return path

    def _folder(self, parent: int, component: str) -> tuple[int, str]:
        key = _key(parent, component)
        folder = self._folders.get(key)
        if folder is None:
            folder = (len(self._folders) + 1, self._own(parent, component, _unsplit))
            self._folders[key] = folder
        return folder

    def _own(self, parent: int, component: str, split: _Split) -> str:
        """Return a component that is not taken yet: this one, or else a numbered one."""
        key = _key(parent, component)
        if key in self._taken:
            component, key = self._numbered(parent, component, split)
        self._taken.add(key)
        return component

    def _numbered(self, parent: int, component: str, split: _Split) -> tuple[str, str]:
        stem, extension = split(component)
        number = 0
        if given := _NUMBER.search(stem[-_MAX_NUMBER:]):
            stem, number = stem[: -len(given[0])], int(given[1])
        # Cut alike for all numbers: with many long names alike, each has a counter to go on from.
        stem = _cut(stem, _MAX_BYTES - _NUMBER_BYTES - len(extension.encode()))
        counter = _key(parent, f"{stem}/{extension}")
        number = max(number + 1, self._numbers.get(counter, 1))
        while (key := _key(parent, own := f"{stem} ({number}){extension}")) in self._taken:
            number += 1
        self._numbers[counter] = number + 1
        return own, key


class ManyNames(Names):
    """The same for a million members: in a tenth of the memory, and without `changed`."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = deque(maxlen=0)
        self._taken = HashedSet()


def _components(name: str) -> list[str]:
    """Return the components of a name, made safe. Only a folder's last one is empty."""
    if not isinstance(name, str):
        raise TypeError(f"a member's name must be a str, not {type(name).__name__}")
    components = name.split("/")
    if len(components) <= _MAX_COMPONENTS and all(map(_PLAIN.match, components)):
        return components
    return _ruled(name)


def _ruled(name: str) -> list[str]:
    """Return the components of any name, by all rules."""
    is_folder = name.endswith("/")
    # A backslash at the end doesn't make a file a folder: its content would be lost.
    path = _bounded(name) if is_folder else _bounded(name).rstrip("\\")
    drive = _DRIVE.match(path)
    path = _visible(path[drive.end() :] if drive else path)
    *given, last = path.split("/")
    safe = (folder for part in given if (folder := _component(part, _unsplit)))
    folders = list(islice(safe, _MAX_COMPONENTS - 1))
    if is_folder:
        return [*(folders or ["folder"]), ""]
    return [*folders, _component(last, _split) or "file"]


def _bounded(name: str) -> str:
    """Cut what is far too long anyway: composing takes time with the square of a run of marks."""
    if len(name) <= _MAX_CHARACTERS:
        return name
    return "/".join([part[:_MAX_CHARACTERS] for part in name.split("/")])


def _visible(path: str) -> str:
    path = _composed(path)
    if path.isprintable() and not _PRINTABLE_RULED.search(path):
        return path
    for pattern, becomes in _RULES:
        path = pattern.sub(becomes, path)
    # Again: what was left out may have stood between a letter and its accent.
    return _composed(path)


def _composed(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _component(part: str, split: _Split) -> str:
    """Return one component, made safe. It is empty where nothing is left of it."""
    component = _harmless(part.strip(" ").rstrip(" ."))
    if len(component) * 4 <= _MAX_BYTES or len(component.encode()) <= _MAX_BYTES:
        return component
    stem, extension = split(component)
    # Again: "CON", spaces and a word isn't a device until the word is cut off.
    return _harmless(_cut(stem, _MAX_BYTES - len(extension.encode())) + extension)


def _harmless(component: str) -> str:
    if ";" in component:
        component = _VERSION.sub("_", component)
    if "~" in component:
        component = _SHORT_NAME.sub(r"\1_", component)
    if not component.isascii() and not unicodedata.normalize("NFKC", component).strip(" ."):
        component = "_" * len(component)
    device = _DEVICE.match(component)
    return f"{device[0]}_{component[device.end() :]}" if device else component


def _split(component: str) -> tuple[str, str]:
    """Split a file's name into stem and extension. ".bashrc" is all stem: its dot hides it."""
    found = _EXTENSION.search(component[-_MAX_EXTENSION:])
    stem = component[: -len(found[0])] if found else ""
    return (stem, component[len(stem) :]) if stem.strip(".") else (component, "")


def _unsplit(component: str) -> tuple[str, str]:
    """Split the name of a folder, which has no extension: "v1.2" becomes "v1.2 (1)"."""
    return component, ""


def _cut(text: str, room: int) -> str:
    """Cut a text to so many bytes in UTF-8, between characters as they are seen if that can be."""
    start = text[: room + 1].encode()
    if len(start) <= room:
        return text
    end = whole = len(start[:room].decode(errors="ignore"))
    while whole and _clings(text[whole - 1], text[whole]):
        whole -= 1
    return text[: whole or end].rstrip(f" .{_JOINERS}") or "_"


def _clings(before: str, character: str) -> bool:
    """Whether a character is seen as one with the one before it: marks, joiners, skin tones."""
    return (
        unicodedata.category(character)[0] == "M"
        or "\U0001f3fb" <= character <= "\U0001f3ff"
        or character in _JOINERS
        or before in _JOINERS
    )


def _key(parent: int, component: str) -> str:
    """Return what names have to differ in: canonical caseless matching (Unicode 3.13, D145).

    That of APFS and, with what it ignores, of ext4. Whatever is the same to NTFS, is here too.
    """
    if component.isascii():
        return f"{parent}/{component.lower()}"
    return f"{parent}/{unicodedata.normalize('NFD', _IGNORED.sub('', component)).casefold()}"
