"""Names that unpack everywhere to what they say: hostile ones by a table, all others by properties.

What is safe is written down here once more, in other words than the package's.
"""

from __future__ import annotations

import ntpath
import posixpath
import re
import stat
import subprocess
import time
import unicodedata
import zipfile
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from django_stream_zip import ZIP_32, stream_zip
from django_stream_zip.engine import names as engine_names
from django_stream_zip.engine.names import (
    Names,
    are_distinct,
    distinct_names,
    extension,
    safe_name,
)
from tests.support.readers import ENVIRONMENT

TIME = datetime(2024, 2, 29, 12, 34, 56, tzinfo=UTC)
FILE, FOLDER = stat.S_IFREG | 0o644, stat.S_IFDIR | 0o755

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"  # man, woman, girl: one emoji
THUMB = "\U0001f44d\U0001f3fd"  # with a skin tone
PERSIAN = "\u0645\u06cc\u200c\u062e\u0648"
UNJOINED = PERSIAN.replace("\u200c", "")
LONG = "x" * 300

# Given, and what becomes of it.
HOSTILE = [
    # Out of the folder.
    ("../../etc/passwd", "etc/passwd"),
    ("/etc/passwd", "etc/passwd"),
    ("//etc//passwd", "etc/passwd"),
    ("a/../b", "a/b"),
    ("a/./b", "a/b"),
    ("..", "file"),
    ("../", "folder/"),
    ("a/..", "a/file"),
    ("a/../", "a/"),
    (".. /a", "a"),
    (". ./a", "a"),
    ("..\0/a", "a"),
    (".\u200b./a", "a"),
    (".\u200d./a", "a"),
    ("..\t/a", "a"),
    ("..\\..\\a", "a"),
    ("a\\b.txt", "a/b.txt"),
    ("/\\../a", "a"),
    ("\\a", "a"),
    # A drive, a share, a device.
    ("C:", "file"),
    ("C:/", "folder/"),
    ("C:\\Users\\me\\a.txt", "Users/me/a.txt"),
    ("c:/a", "a"),
    ("C:a", "C_a"),
    ("C:..\\a", "C_/a"),
    ("/C:/a", "a"),
    ("a/C:/b", "a/C_/b"),
    ("abc:/d", "abc_/d"),
    ("\u200bC:\\a", "C_/a"),
    ("\\\\host\\share\\a", "host/share/a"),
    ("\\\\?\\C:\\a", "a"),
    ("\\\\.\\COM1", "COM1_"),
    ("\\??\\C:\\a", "__/C_/a"),
    ("file:///etc/passwd", "file_/etc/passwd"),
    ("a.txt:stream", "a.txt_stream"),
    ("a::$DATA", "a__$DATA"),
    # Nothing.
    ("", "file"),
    ("/", "folder/"),
    ("\\", "file"),
    (" ", "file"),
    ("...", "file"),
    (". . .", "file"),
    ("a/", "a/"),
    ("a//", "a/"),
    ("a\\", "a"),
    ("a/\\", "a/file"),
    ("a/ ", "a/file"),
    ("\0", "file"),
    ("\u202e", "file"),
    ("\u200d\u200c", "file"),
    # White space and what can't be seen.
    ("a.exe\0.txt", "a.exe.txt"),
    ("a\r\nb.txt", "a  b.txt"),
    ("a\tb\x0bc\x0cd", "a b c d"),
    ("a\x85b\u2028c\u2029d", "a b c d"),
    ("a\x1b[31mb", "a[31mb"),
    ("a\x7f\x9fb", "ab"),
    ("photo\u202egpj.exe", "photogpj.exe"),
    ("\u2066a\u2069\u200e\u200f\u061cb", "ab"),
    ("\ufeffa\u200bb\u2060c\xadd", "abcd"),
    ("a\ufff9b\U000e0041", "ab"),
    ("a\u180eb", "ab"),
    # Joiners: kept where they join.
    (f"{FAMILY}.png", f"{FAMILY}.png"),
    (f"{PERSIAN}.txt", f"{PERSIAN}.txt"),
    ("PDF\u200c\u0647\u0627", "PDF\u200c\u0647\u0627"),
    ("क\u200dष", "क\u200dष"),
    ("\u200dक", "क"),
    ("क\u200d", "क"),
    ("क\u200d.txt", "क.txt"),
    (".\u200cक", ".क"),
    ("a\u200cb.txt", "ab.txt"),
    ("क\u200c\u200dष", "कष"),
    ("क\u200d\ufdd0", "क_"),
    # Reserved, or not characters.
    ('<a>:"b"|c?*', "_a___b__c__"),
    ("caf\udce9.txt", "caf_.txt"),
    ("\ud83d\ude00", "__"),
    ("a\ufffe\uffff\ufdd0\U0001fffeb", "a____b"),
    ("a\ufffdb", "a\ufffdb"),
    # Devices of Windows.
    ("CON", "CON_"),
    ("con.txt", "con_.txt"),
    ("Nul.tar.gz", "Nul_.tar.gz"),
    ("CON .txt", "CON_ .txt"),
    ("CON. .txt", "CON_. .txt"),
    ("prn", "prn_"),
    ("aux/", "aux_/"),
    ("a/AUX/NUL", "a/AUX_/NUL_"),
    ("COM0", "COM0_"),
    ("COM1.log", "COM1_.log"),
    ("LPT9", "LPT9_"),
    ("com\xb9.txt", "com\xb9_.txt"),
    ("LPT\xb2", "LPT\xb2_"),
    ("COM\xb3", "COM\xb3_"),
    ("CONIN$", "CONIN$_"),
    ("conout$.x", "conout$_.x"),
    (" CON ", "CON_"),
    ("C\0ON", "CON_"),
    ("CON:", "CON_"),
    ("CONSOLE", "CONSOLE"),
    ("COM10", "COM10"),
    ("icon.png", "icon.png"),
    (".con", ".con"),
    # Dots and spaces.
    ("a.", "a"),
    ("a. . .", "a"),
    ("a ", "a"),
    (" a", "a"),
    ("a /b. /c", "a/b/c"),
    (".a", ".a"),
    ("..a", "..a"),
    ("a..b", "a..b"),
    # Info-ZIP's unzip leaves out what looks like a version of VMS.
    ("a.txt;1", "a.txt_1"),
    ("..;1", ".._1"),
    (";", "_"),
    ("a;b", "a;b"),
    ("a;;2", "a;_2"),
    # Normal form C.
    ("e\u0301", "\xe9"),
    ("e\u200b\u0301", "\xe9"),
    ("<\u0338", "\u226e"),
    ("\u212b", "\xc5"),
    # What becomes a separator, a drive or ".." where code pages or NFKC are applied.
    ("..\uff0fa", ".._a"),
    ("a\uff3cb", "a_b"),
    ("C\uff1ax", "C_x"),
    ("a\u2215b\u2044c\u29f8d\u2236e", "a_b_c_d_e"),
    ("a\xa5b\u20a9c", "a_b_c"),
    ("\uff0e\uff0e/a", "__/a"),
    ("\u2025/a", "_/a"),
    ("\u2024./a", "_/a"),
    (".\u2024/a", "__/a"),
    ("\u2026", "_"),
    ("and so on\u2026", "and so on\u2026"),
    ("\uff21\uff22\uff11 \u7b2c1\u7ae0.txt", "\uff21\uff22\uff11 \u7b2c1\u7ae0.txt"),
    # Short names of DOS, which may be those of longer names beside them.
    ("LONGFI~1.TXT", "LONGFI_1.TXT"),
    ("progra~2/a~1", "progra_2/a_1"),
    ("a~1~2", "a~1_2"),
    ("abcdef~12.txt", "abcdef~12.txt"),
    ("a~1.jpeg", "a~1.jpeg"),
    ("a b~1", "a b~1"),
    ("~$doc.doc", "~$doc.doc"),
    ("~1", "~1"),
    # Length.
    (f"{LONG}.txt", "x" * 251 + ".txt"),
    (f"{LONG}.tar.gz", "x" * 248 + ".tar.gz"),
    (f"{LONG}.csv.bz2", "x" * 247 + ".csv.bz2"),
    (f"{LONG}.{LONG}", "x" * 255),
    (f"{LONG}.pdf/a", "x" * 255 + "/a"),
    (f".{LONG}", "." + "x" * 254),
    ("x" * 255, "x" * 255),
    ("\xe9" * 200, "\xe9" * 127),
    ("文" * 100 + ".txt", "文" * 83 + ".txt"),
    ("x" * 254 + "e\u0302\u0331", "x" * 254),
    ("x" * 253 + "q\u0302", "x" * 253),
    ("x" * 240 + FAMILY, "x" * 240),
    ("x" * 250 + THUMB, "x" * 250),
    ("x" * 250 + "\U0001f44d\U0001f3fb", "x" * 250),
    ("\U0001f600" * 85, "\U0001f600" * 63),
    ("\u0302" * 126 + "\u200d\u0915", "\u0302" * 126),
    ("x" + "\u0302" * 300, "x" + "\u0302" * 127),
    ("x" * 253 + ". y", "x" * 253),
    ("CON" + " " * 300 + "x.txt", "CON_.txt"),
    ("CON." + "x" * 251, "CON_." + "x" * 250),
    ("." * 300 + "x", "_"),
    ("x" * 252 + ";12345", "x" * 252 + "_12"),
    ("a/" * 40_000 + "b", "a/" * 254 + "b"),
    ("a/" * 40_000, "a/" * 254),
    # Not hostile.
    ("a b/c (1)/d-e_f.tar.gz", "a b/c (1)/d-e_f.tar.gz"),
    ("grüße/文件 \U0001f600.txt", "grüße/文件 \U0001f600.txt"),
    ("-rf", "-rf"),
    ("~a", "~a"),
    ("$HOME`%PATH%'!&#^{}[]@+=,;a", "$HOME`%PATH%'!&#^{}[]@+=,;a"),
]


def brief(name: str) -> str:
    """Return an id that doesn't fill the screen, and that XML reports can hold."""

    def repeated(run: re.Match[str]) -> str:
        return f"({run[1]} {len(run[0]) // len(run[1])} times)"

    return re.sub(r"(.+?)\1{20,}", repeated, ascii(name))


TABLE = pytest.mark.parametrize(
    ("name", "expected"), HOSTILE, ids=[brief(name) for name, _ in HOSTILE]
)

# Given together, and what becomes of them.
TOGETHER = {
    "twice": (["a.pdf", "a.pdf", "a.pdf"], ["a.pdf", "a (1).pdf", "a (2).pdf"]),
    "other case": (["a.pdf", "A.PDF"], ["a.pdf", "A (1).PDF"]),
    "two endings": (["a.tar.gz", "a.tar.gz"], ["a.tar.gz", "a (1).tar.gz"]),
    "compressed": (["a.csv.xz", "a.csv.xz"], ["a.csv.xz", "a (1).csv.xz"]),
    "not two endings": (["v1.2.pdf", "v1.2.pdf"], ["v1.2.pdf", "v1.2 (1).pdf"]),
    "no ending": (["Dr. Who", "Dr. Who"], ["Dr. Who", "Dr. Who (1)"]),
    "hidden": ([".bashrc", ".bashrc"], [".bashrc", ".bashrc (1)"]),
    "hidden with ending": ([".a.json", ".a.json"], [".a.json", ".a (1).json"]),
    "numbered": (["a (1).pdf", "a (1).pdf"], ["a (1).pdf", "a (2).pdf"]),
    "number taken": (["a.pdf", "a (1).pdf", "a.pdf"], ["a.pdf", "a (1).pdf", "a (2).pdf"]),
    "number taken by us": (["a.pdf", "a.pdf", "a (1).pdf"], ["a.pdf", "a (1).pdf", "a (2).pdf"]),
    "numbered, two endings": (["a (9).tar.gz"] * 2, ["a (9).tar.gz", "a (10).tar.gz"]),
    "a year": (["a (2024).pdf"] * 2, ["a (2024).pdf", "a (2024) (1).pdf"]),
    "only a number": (["(1).pdf", "(1).pdf"], ["(1).pdf", "(1) (1).pdf"]),
    "zero": (["a (0)", "a (0)"], ["a (0)", "a (0) (1)"]),
    "made alike": (["a?.txt", "a*.txt", "a_.txt"], ["a_.txt", "a_ (1).txt", "a_ (2).txt"]),
    "device": (["CON", "con"], ["CON_", "con_ (1)"]),
    "nothing": (["", "..", "/"], ["file", "file (1)", "folder/"]),
    "other normal form": (["é", "e\u0301"], ["é", "é (1)"]),
    "sharp s": (["Maße.txt", "MASSE.TXT"], ["Maße.txt", "MASSE (1).TXT"]),
    "not seen": (["\u2764.png", "\u2764\ufe0f.png"], ["\u2764.png", "\u2764\ufe0f (1).png"]),
    "joiner": ([PERSIAN, UNJOINED], [PERSIAN, f"{UNJOINED} (1)"]),
    "other folder": (["a/x", "b/x"], ["a/x", "b/x"]),
    "folder in other case": (["Docs/x", "docs/y", "DOCS/X"], ["Docs/x", "Docs/y", "Docs/X (1)"]),
    "folder, then file": (["a/b.txt", "a", "A"], ["a/b.txt", "a (1)", "A (2)"]),
    "file, then folder": (["a", "a/b.txt", "A/c.txt"], ["a", "a (1)/b.txt", "a (1)/c.txt"]),
    "file, then folder member": (["a", "a/", "a/b"], ["a", "a (1)/", "a (1)/b"]),
    "folder member, then file": (["a/", "a"], ["a/", "a (1)"]),
    "folder has no ending": (["v1.2", "v1.2/x"], ["v1.2", "v1.2 (1)/x"]),
    "folder's number taken": (["a", "a (1)/x", "a/x"], ["a", "a (1)/x", "a (2)/x"]),
    "our folder given": (["a", "a/x", "a (1)/x"], ["a", "a (1)/x", "a (2)/x"]),
    "deep": (["a/b", "a/b/c", "A/B/d"], ["a/b", "a/b (1)/c", "a/b (1)/d"]),
    "folder member twice": (["a/", "A/", "a/b/"], ["a/", "a/", "a/b/"]),
    "long": ([f"{LONG}.pdf"] * 2, ["x" * 251 + ".pdf", "x" * 240 + " (1).pdf"]),
    "long folder": (["x" * 255, "x" * 255 + "/y"], ["x" * 255, "x" * 244 + " (1)/y"]),
    "only dots": (["." * 254 + "x"] * 2, ["." * 254 + "x", "_ (1)"]),
}


# What is safe, by those who say so.

DEVICES = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}
DEVICES |= {port + digit for port in ("COM", "LPT") for digit in "0123456789¹²³"}
# Format characters that are seen: signs before, above or below digits.
SEEN = {*map(chr, range(0x600, 0x606)), *"\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"}
JOINERS = "\u200c\u200d"


def is_safe_character(character: str) -> bool:
    category = unicodedata.category(character)
    return not (
        character in '<>:"\\|?*'
        or is_separator_elsewhere(character)
        or category in {"Cc", "Cs", "Zl", "Zp"}
        or (category == "Cf" and character not in SEEN and character not in JOINERS)
        or ord(character) & 0xFFFE == 0xFFFE
        or 0xFDD0 <= ord(character) <= 0xFDEF
    )


def joins(before: str, after: str) -> bool:
    return before not in " ./" and not after.isascii() and not {before, after} & set(JOINERS)


# What bestfit1252, bestfit932 and bestfit949 take for a separator or a colon.
BEST_FIT = "\u2044\u2215\u2216\u29f5\u29f8\u29f9\u2236\u0589\xa5\uffe5\u20a9\uffe6"


def is_separator_elsewhere(character: str) -> bool:
    compatible = set(unicodedata.normalize("NFKC", character))
    return character != "/" and (bool(compatible & set("/\\:")) or character in BEST_FIT)


def is_short(part: str) -> bool:
    stem, _, ending = part.partition(".")
    base, tilde, number = stem.rpartition("~")
    return (
        bool(base and tilde and number)
        and number.isdigit()
        and number.isascii()
        and len(stem) <= 8
        and len(ending) <= 3
        and not set(stem + ending) & set(" .")
    )


def is_safe_component(part: str) -> bool:
    base = part.partition(".")[0].rstrip(" ").upper()
    before_digits = part.rstrip("0123456789")
    return (
        bool(part)
        and part[0] != " "
        and part[-1] not in " ."
        and base not in DEVICES
        and not before_digits.endswith(";")
        and not is_short(part)
        and bool(unicodedata.normalize("NFKC", part).strip(" ."))
        and len(part.encode()) <= 255
    )


def is_safe(name: str) -> bool:
    """Return whether a name is safe on Windows, macOS and Linux."""
    if not all(map(is_safe_character, name)):
        return False
    path = name.removesuffix("/")
    parts = path.split("/")
    around = zip(f"/{name}", name, f"{name[1:]}/", strict=False)
    windows = PureWindowsPath(name)
    return (
        all(map(is_safe_component, parts))
        and len(parts) <= 255
        and all(joins(before, after) for before, c, after in around if c in JOINERS)
        and unicodedata.normalize("NFC", name) == name
        # As the systems' own modules see it.
        and not (windows.drive or windows.root or PurePosixPath(name).is_absolute())
        and list(windows.parts) == list(PurePosixPath(name).parts) == parts
        and posixpath.normpath(name) == path
        and ntpath.normpath(name) == path.replace("/", "\\")
    )


def folded(text: str) -> str:
    """Fold as Unicode's canonical caseless matching does, and pass over joiners."""
    text = unicodedata.normalize("NFD", text.translate(dict.fromkeys(map(ord, JOINERS))))
    return unicodedata.normalize("NFD", text.casefold())


def folders_of(name: str) -> list[str]:
    return [name[:place] for place, character in enumerate(name) if character == "/"]


def assert_one_tree(names: Iterable[str]) -> None:
    """See that each name is where no other is, on any system."""
    names = list(names)
    files = [folded(name) for name in names if not name.endswith("/")]
    folders = {folder for name in names for folder in folders_of(name)}
    assert len(set(files)) == len(files)
    assert not set(files) & set(map(folded, folders))
    assert len(set(map(folded, folders))) == len(folders)


PIECES = (
    *'/\\.: _-;?*|<>"~',
    *"\uff0e\u2025\u2024\u2026\uff0f\uff3c\uff1a\u2215\xa5\u2488",
    *"LONGFI~1|~2.T".split("|"),
    *"aAbB1",
    *"éÉßſıİΣςµ文",
    *"\0\t\n\x7f\x85\xa0\xad\u200b\u200c\u200d\u202e\u2028\u2029\u2066\u3000\ufe0f\ufeff",
    *"\ud800\udcff\ufdd0\uffff\U000e0061\u0301\u0338\u0345\u1100\u1161\u3164",
    *"..|../|C:|CON|nul|COM¹|.txt|.tar.gz| (1)| (2)|\\\\?\\|;1|a/b|A/B".split("|"),
    FAMILY,
    THUMB,
    "x" * 100,
    "é" * 120,
    "." * 260,
    " " * 260,
)
NAMES = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=12).map("".join)
# Few letters, so that they often meet.
LETTERS = ("a", "A", "b", "/", " (1)", " (2)", ".c", ".tar.gz", "ß", "ss", "é", "e\u0301")
CLOSE = st.lists(st.sampled_from(LETTERS), max_size=5).map("".join)
LISTS = st.lists(NAMES | CLOSE, max_size=12) | st.lists(CLOSE, max_size=30)


@TABLE
def test_hostile_names_become_safe(name: str, expected: str) -> None:
    assert safe_name(name) == expected
    assert is_safe(expected)


@pytest.mark.parametrize(("names", "expected"), TOGETHER.values(), ids=TOGETHER)
def test_names_that_meet(names: list[str], expected: list[str]) -> None:
    assert distinct_names(names) == expected
    assert_one_tree(expected)


def test_every_character_that_is_not_seen() -> None:
    hidden = {"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"}
    characters = [c for c in map(chr, range(0x110000)) if unicodedata.category(c) in hidden]
    # Noncharacters: nobody will ever assign them.
    characters += [chr(0x10000 * plane + last) for plane in range(17) for last in (0xFFFE, 0xFFFF)]
    characters += map(chr, range(0xFDD0, 0xFDF0))
    assert [c for c in characters if not is_safe(safe_name(f"文{c}文"))] == []
    assert [c for c in characters if c in SEEN and safe_name(f"a{c}1") != f"a{c}1"] == []


def test_letters_that_differ_in_case_meet() -> None:
    # Windows compares letters in upper case, one by one. Its table leaves the Turkish letters out.
    letters = [c for c in map(chr, range(0x110000)) if len(c.upper()) == 1 and c.upper() != c]
    assert [c for c in letters if distinct_names([c, c.upper()])[1] == c.upper()] == ["\u0131"]


@pytest.mark.parametrize("name", [b"a", None, 5, Path("a"), ["a"]], ids=repr)
def test_only_text_is_a_name(name: object) -> None:
    with pytest.raises(TypeError, match="must be a str, not"):
        safe_name(name)  # type: ignore[arg-type]
    names = Names()
    with pytest.raises(TypeError, match=type(name).__name__):
        names.of(name)  # type: ignore[arg-type]
    assert names.changed == []


def test_what_was_changed_can_be_asked_for() -> None:
    names = Names()
    given = ["a", "../b", "a", "c/", "C/", "d/e"]
    used = [names.of(name) for name in given]
    assert used == ["a", "b", "a (1)", "c/", "c/", "d/e"]
    assert names.changed == [("../b", "b"), ("a", "a (1)"), ("C/", "c/")]


def test_archives_have_names_of_their_own() -> None:
    assert Names().of("a") == Names().of("a") == "a"


@given(NAMES | st.text())
@example("")
def test_any_name_becomes_safe(name: str) -> None:
    safe = safe_name(name)
    assert is_safe(safe)
    assert safe_name(safe) == safe
    assert safe.endswith("/") == name.endswith("/")
    assert len(safe.encode()) <= 0xFFFF


@given(NAMES | st.text())
def test_a_safe_name_is_relative_after_nfkc(name: str) -> None:
    compatible = unicodedata.normalize("NFKC", safe_name(name))
    assert compatible.count("/") == safe_name(name).count("/")
    assert not set(compatible) & set("\\:")
    assert not {"", ".", ".."} & {part.strip(" ") for part in compatible.rstrip("/").split("/")}


def test_every_character_that_is_a_separator_elsewhere() -> None:
    characters = [c for c in map(chr, range(0x110000)) if is_separator_elsewhere(c)]
    assert len(characters) > 15
    assert {safe_name(f"a{c}b") for c in characters} == {"a_b", "a/b"}  # the latter of a backslash


@given(NAMES | CLOSE | st.text(st.characters(exclude_categories=["C"])))
def test_a_safe_name_stays_and_no_other(name: str) -> None:
    assert (safe_name(name) == name) == is_safe(name)


# What the short way out is for, and what comes near it.
USUAL = "a b. (),-+_/ZCON1"
LIKE_USUAL = st.lists(st.sampled_from([*USUAL, *"~;:$é", "con", "LPT1", "x" * 199, "a/" * 254]))


@given(NAMES | LIKE_USUAL.map("".join))
@example("a/" * 254 + "b")
@example("a/" * 255 + "b")
def test_what_is_plain_obeys_all_rules(name: str) -> None:
    assert engine_names._components(name) == engine_names._ruled(name)


@given(LISTS)
def test_a_name_that_was_made_safe_before_gets_the_same(given_names: list[str]) -> None:
    names = Names()
    assert [names.of_safe(safe_name(name)) for name in given_names] == distinct_names(given_names)


@given(LISTS)
def test_names_of_an_archive_are_one_tree(given_names: list[str]) -> None:
    names = distinct_names(given_names)
    assert len(names) == len(given_names)
    assert all(map(is_safe, names))
    assert_one_tree(names)
    assert distinct_names(names) == names


@given(LISTS)
def test_whoever_comes_first_keeps_the_name(given_names: list[str]) -> None:
    names = distinct_names(given_names)
    assert names[:1] == [safe_name(name) for name in given_names[:1]]
    for place in range(len(names)):
        assert distinct_names(given_names[:place]) == names[:place]


@given(st.lists(NAMES, max_size=10))
def test_names_that_do_not_meet_stay(given_names: list[str]) -> None:
    safe = [f"{number}/{safe_name(name)}" for number, name in enumerate(given_names)]
    names = Names()
    assert [names.of(name) for name in safe] == safe
    assert names.changed == []


@given(LISTS)
def test_changed_has_all_that_did_not_stay(given_names: list[str]) -> None:
    names = Names()
    used = [(name, names.of(name)) for name in given_names]
    assert names.changed == [(name, now) for name, now in used if name != now]


@given(st.lists(st.sampled_from(["x" * 400, "é" * 250, FAMILY * 20, " (1)", ".tar.gz", "/", "b"])))
def test_numbered_names_fit(pieces: list[str]) -> None:
    names = distinct_names(["".join(pieces)] * 12)
    assert all(map(is_safe, names))
    assert_one_tree(names)


COUNT = 20_000
MANY: dict[str, Callable[[int], str]] = {
    "all alike": lambda number: "Docs/report.pdf",
    "none alike": lambda number: f"Docs/report {number}.pdf",
    "a folder each": lambda number: f"{number}/report.pdf",
    "file and folder": lambda number: f"a/{number}" if number % 2 else "a",
    "numbered": lambda number: f"a ({number % 1000}).pdf",
    "numbers taken": lambda number: f"a ({number}).pdf" if number < COUNT // 2 else "a.pdf",
    "long, each twice": lambda number: f"{'x' * 246}{number // 2:05}.pdf",
    "too long, alike once cut": lambda number: f"{LONG}{number}.pdf",
}


@pytest.mark.parametrize("name_of", MANY.values(), ids=MANY)
def test_many_names_take_no_more_time_each(name_of: Callable[[int], str]) -> None:
    started = time.process_time()
    names = distinct_names(map(name_of, range(COUNT)))
    assert len(set(names)) == COUNT
    # It takes 0.1 to 0.4 s; comparing each with each, minutes.
    assert time.process_time() - started < 10


@pytest.mark.parametrize(
    "piece", ["a/", "\\", ".", " ", "../", "C:", "\u200d", "e\u0301", ".a", ";1", " (1)", "(", "é/"]
)
def test_a_very_long_name_takes_no_more_time_a_character(piece: str) -> None:
    started = time.process_time()
    names = distinct_names([piece * 200_000 + "z"] * 2)
    assert_one_tree(names)
    assert all(map(is_safe, names))
    assert time.process_time() - started < 10


# What tools make of an archive with all of them.

EXTRACTORS = {
    "unzip": ["unzip", "-qq", "{archive}", "-d", "{folder}"],
    "7z": ["7z", "x", "-bd", "-o{folder}", "{archive}"],
    "bsdtar": ["bsdtar", "-xf", "{archive}", "-C", "{folder}"],
    # As tar unpacks by default for root: no protection against '..' and absolute paths.
    "bsdtar -P": ["bsdtar", "-xPf", "{archive}", "-C", "{folder}"],
}


def archived(names: list[str]) -> bytes:
    """Write an archive; each file has its name as content."""
    return b"".join(
        stream_zip(
            (name, TIME, FOLDER, ZIP_32, [])
            if name.endswith("/")
            else (name, TIME, FILE, ZIP_32, [name.encode()])
            for name in names
        )
    )


def extract(tool: str, archive: Path, folder: Path) -> None:
    if tool == "zipfile":
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(folder)
        return
    command = [part.format(archive=archive, folder=folder) for part in EXTRACTORS[tool]]
    # Without a terminal, a tool that asks whether to overwrite a file fails.
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, env=ENVIRONMENT, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")
    assert done.stderr == b""


@pytest.mark.parametrize("tool", ["zipfile", *EXTRACTORS])
def test_tools_unpack_them_where_they_say(tool: str, tmp_path: Path) -> None:
    together = [name for names, _ in TOGETHER.values() for name in names]
    given_names = [name for name, _ in HOSTILE if len(name) < 1000] + together
    names = list(dict.fromkeys(distinct_names(given_names)))
    # Deep enough that what climbs out can still be found.
    folder = tmp_path / "1" / "2" / "3"
    folder.mkdir(parents=True)
    archive = tmp_path / "archive.zip"
    archive.write_bytes(archived(names))

    extract(tool, archive, folder)

    there = {str(path.relative_to(folder)): path for path in folder.rglob("*")}
    files = {name: path.read_text() for name, path in there.items() if path.is_file()}
    assert files == {name: name for name in names if not name.endswith("/")}
    assert there.keys() - files.keys() == {part for name in names for part in folders_of(name)}
    assert {path for path in tmp_path.rglob("*") if folder not in path.parents} == {
        archive,
        *folder.parents[:2],
        folder,
    }


@given(st.lists(st.text("aAbB.-_ /~é0(1)", min_size=1, max_size=6), max_size=6))
@example(["a.jpg", "b.jpg"])
@example(["a", "A"])
def test_names_that_are_distinct_at_a_glance_stay(names: list[str]) -> None:
    if are_distinct(names):
        assert distinct_names(names) == names


def test_names_that_are_distinct_at_a_glance() -> None:
    assert are_distinct(["a.jpg", "b.jpg", "Photo 1 (2024).png"])
    assert not are_distinct(["a.jpg", "A.jpg"])
    assert not are_distinct(["CON"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.jpg", ".jpg"),
        ("a.b.JPG", ".JPG"),
        ("..jpg", ""),
        (".jpg", ""),
        ("jpg", ""),
        ("", ""),
        ("a.tar.gz", ".tar.gz"),
        ("a.txt.gz", ".txt.gz"),
    ],
)
def test_extension_of_a_name(name: str, expected: str) -> None:
    assert extension(name) == expected
