"""The archive's file name in `Content-Disposition`: safe from any text, and found again."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote

import pytest
from django.http import HttpResponse
from hypothesis import given
from hypothesis import strategies as st

from django_stream_zip.delivery.disposition import attachment, safe_filename

PATH_CHARACTERS = set('/\\:*?"<>|')
# RFC 6266 §4.1, with no more than what is sent: both forms of the name, the quoted one first.
HEADER = re.compile(
    r'attachment; filename="(?P<plain>[ -!#-\[\]-~]*)"'
    r"(?:; filename\*=UTF-8''(?P<extended>[A-Za-z0-9!#$&+.^_`|~%-]*))?"
)
# Any text, and text of what makes trouble.
AWKWARD = (
    "\r\n\t\0\x1b\x7f\x85\u2028\u200e\u202e\u2066\ufeff\ud800\udfff" + "/\\:*?\"<>|.%;='~ aüé文😀"
)
# Becomes the ASCII character where compatible characters are taken for one (NFKD).
FULL_WIDTH = "".join(chr(ord(character) + 0xFEE0) for character in '/\\:*?"<>|.%')
COMPATIBLE = FULL_WIDTH + "\u2025\u2026\u3000\u2100\ufe68\u037e"
NAMES = st.text() | st.text(AWKWARD) | st.text(AWKWARD + COMPATIBLE)


def both(filename: str) -> tuple[str, str]:
    """Return the plain name of a header and the one that a browser takes."""
    match = HEADER.fullmatch(attachment(filename))
    assert match is not None, attachment(filename)
    plain, extended = match.groups()
    return plain, plain if extended is None else unquote(extended, errors="strict")


def assert_safe(name: str) -> None:
    """Assert that a name is one component of a path, and shows what it is."""
    assert name
    assert not PATH_CHARACTERS & set(name)
    assert name == name.strip(" .")
    assert not {unicodedata.category(c) for c in name} & {"Cc", "Cf", "Cs"}


@given(NAMES)
def test_any_name_is_found_again_and_safe(filename: str) -> None:
    _, name = both(filename)
    assert name == safe_filename(filename)
    assert_safe(name)
    assert len(name.encode()) <= 180


# Compatible characters become ASCII in it, and full-width ones and dot leaders path characters so.
@given(NAMES)
def test_the_fallback_is_as_safe_as_the_name(filename: str) -> None:
    plain, _ = both(filename)
    assert_safe(plain)


@pytest.mark.parametrize(
    ("filename", "plain"),
    [
        pytest.param(
            "\uff0e\uff0e\uff0f\uff0e\uff0e\uff0fx.zip", "x.zip", id="full-width dots and slashes"
        ),
        pytest.param("a\uff0fb.zip", "b.zip", id="full-width slash"),
        pytest.param("℀.zip", ".zip", id="account of"),
        pytest.param("c\uff1ax.zip", "x.zip", id="full-width colon"),
        pytest.param("…x.zip", "x.zip", id="ellipsis"),
    ],
)
def test_the_fallback_has_no_path_from_compatible_characters(filename: str, plain: str) -> None:
    found = both(filename)[0]
    assert_safe(found)
    assert found.endswith(plain.lstrip("."))


@given(NAMES)
def test_django_sends_the_header_as_it_is(filename: str) -> None:
    value = attachment(filename)
    response = HttpResponse(headers={"Content-Disposition": value})
    assert response.headers["Content-Disposition"] == value
    assert value.isascii()
    assert value.isprintable()
    assert "=?" not in value.partition(";")[0]


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        pytest.param("archive.zip", "archive.zip", id="plain"),
        pytest.param("my archive (1).zip", "my archive (1).zip", id="spaces"),
        pytest.param("grüße.zip", "grüße.zip", id="umlauts"),
        pytest.param("gru\u0308ße.zip", "grüße.zip", id="umlaut of two characters"),
        pytest.param("文件.zip", "文件.zip", id="Chinese"),
        pytest.param("ملف.zip", "ملف.zip", id="Arabic"),
        pytest.param("📦.zip", "📦.zip", id="emoji"),
        pytest.param("a\r\nSet-Cookie: x=y.zip", "aSet-Cookie x=y.zip", id="header injection"),
        pytest.param("a\nb\rc.zip", "abc.zip", id="line ends"),
        pytest.param("a\0b\x1b[31m.zip", "ab[31m.zip", id="NUL and escape"),
        pytest.param("a\x7f\x85b.zip", "ab.zip", id="other controls"),
        pytest.param('a"b.zip', "ab.zip", id="quote"),
        pytest.param('a"; filename="b.zip', "a; filename=b.zip", id="quoted parameter"),
        pytest.param("a\\b.zip", "ab.zip", id="backslash"),
        pytest.param("a/b.zip", "ab.zip", id="slash"),
        pytest.param("../../etc/passwd", "etcpasswd", id="traversal"),
        pytest.param("..\\..\\boot.ini", "boot.ini", id="traversal in Windows"),
        pytest.param("/absolute.zip", "absolute.zip", id="absolute"),
        pytest.param("C:\\x.zip", "Cx.zip", id="drive"),
        pytest.param('a<b>c:d|e?f*g"h.zip', "abcdefgh.zip", id="forbidden in Windows"),
        pytest.param("x\u202epiz.exe", "xpiz.exe", id="bidi override"),
        pytest.param("\u2066x\u2069\u200f.zip", "x.zip", id="bidi isolates and marks"),
        pytest.param("\ufeffx\u200b.zip", "x.zip", id="invisible"),
        pytest.param("x\ud800.zip", "x.zip", id="lone surrogate"),
        pytest.param("  x.zip  ", "x.zip", id="spaces around"),
        pytest.param(".hidden.zip", "hidden.zip", id="hidden"),
        pytest.param("x.zip...", "x.zip", id="dots behind"),
        pytest.param("100%.zip", "100%.zip", id="per cent"),
        pytest.param("%41.zip", "%41.zip", id="escaped letter"),
        pytest.param("%2e%2e%2f.zip", "%2e%2e%2f.zip", id="escaped traversal"),
        pytest.param("a;b=c,d'e.zip", "a;b=c,d'e.zip", id="separators"),
        pytest.param("", "archive.zip", id="empty"),
        pytest.param(".", "archive.zip", id="dot"),
        pytest.param("..", "archive.zip", id="two dots"),
        pytest.param(". . .", "archive.zip", id="dots and spaces"),
        pytest.param("///", "archive.zip", id="slashes"),
        pytest.param("\ud800\udfff", "archive.zip", id="surrogates only"),
        pytest.param(".zip", "archive.zip", id="ending only"),
        pytest.param("\u202e/ .zip", "archive.zip", id="nothing visible before the ending"),
        pytest.param("...zip", "archive.zip", id="dots and an ending"),
    ],
)
def test_a_name_becomes(filename: str, name: str) -> None:
    assert both(filename)[1] == name


@pytest.mark.parametrize(
    ("filename", "plain"),
    [
        ("archive.zip", "archive.zip"),
        ("grüße à l'été.zip", "gru_e a l'ete.zip"),
        ("文件.zip", "__.zip"),
        ("📦.zip", "_.zip"),
        ("100%.zip", "100_.zip"),
        ("%41.zip", "_41.zip"),
    ],
)
def test_the_fallback_is_ascii_and_close_to_the_name(filename: str, plain: str) -> None:
    assert both(filename)[0] == plain


def test_an_ascii_name_has_one_form() -> None:
    assert attachment("photos 2024.zip") == 'attachment; filename="photos 2024.zip"'


def test_another_name_has_both_forms_the_fallback_first() -> None:
    assert (
        attachment("naïve 文.zip")
        == "attachment; filename=\"naive _.zip\"; filename*=UTF-8''na%C3%AFve%20%E6%96%87.zip"
    )


@pytest.mark.parametrize("letter", ["x", "ü", "文", "😀", "e\u0301"])
@pytest.mark.parametrize("ending", [".zip", ".tar.gz", ""])
def test_a_long_name_is_cut_in_whole_characters_and_keeps_its_ending(
    letter: str, ending: str
) -> None:
    plain, name = both(letter * 500 + ending)
    composed = unicodedata.normalize("NFC", letter)
    assert name.startswith(composed)
    assert name.endswith(ending and "." + ending.rpartition(".")[2])
    assert 170 < len(name.encode()) <= 180
    assert len(plain) <= 180


# NFKD makes 18 characters of this one.
def test_the_fallback_of_a_name_of_ligatures_is_not_longer_than_a_file_name() -> None:
    plain, _ = both("ﷺ" * 60 + ".zip")
    assert len(plain) <= 255


def test_a_name_that_is_cut_behind_a_dot_does_not_end_in_it() -> None:
    assert_safe(safe_filename("x" * 179 + "." + "y" * 20))


@pytest.mark.parametrize("separator", ["\u2028", "\u2029"])
def test_unicode_line_ends_are_left_out(separator: str) -> None:
    assert safe_filename(f"a{separator}b.zip") == "ab.zip"


def test_a_name_as_long_as_allowed_is_not_cut() -> None:
    assert safe_filename("x" * 176 + ".zip") == "x" * 176 + ".zip"
    assert safe_filename("x" * 177 + ".zip") == "x" * 176 + ".zip"
