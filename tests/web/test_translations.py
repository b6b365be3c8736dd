"""The texts that clients see: all marked, all translated, and compiled as they are in the sources.

After a change of a text: `django-admin makemessages -a --add-location file --no-wrap --no-obsolete`
in the package's folder, translate, `django-admin compilemessages` (both need GNU gettext).
"""

from __future__ import annotations

import ast
import gettext
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from babel.messages import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from django.test import RequestFactory
from django.utils.translation import get_language_info, override, to_language

import django_stream_zip
from django_stream_zip.members import (
    DownloadTooLargeError,
    TooManyBytesError,
    TooManyMembersError,
)
from django_stream_zip.views import ZipDownloadView

PACKAGE = Path(django_stream_zip.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
# Parsed here: Python 3.11 may raise SystemError where two threads parse at the same time.
TREES = {path: ast.parse(path.read_text()) for path in SOURCES}
# How the languages count, as gettext's manual has it.
PLURALS = {
    "de": (2, lambda n: n != 1),
    "es": (2, lambda n: n != 1),
    "fr": (2, lambda n: n > 1),
    "ja": (1, lambda n: 0),
    "pt_BR": (2, lambda n: n > 1),
    "zh_Hans": (1, lambda n: 0),
}
EVERY_LOCALE = pytest.mark.parametrize("locale", PLURALS)
FUNCTIONS = {
    **dict.fromkeys(["_", "gettext", "gettext_lazy"]),
    **dict.fromkeys(["ngettext", "ngettext_lazy"], (1, 2)),
    **dict.fromkeys(["pgettext", "pgettext_lazy"], ((1, "c"), 2)),
    **dict.fromkeys(["npgettext", "npgettext_lazy"], ((1, "c"), 2, 3)),
}
# A context, and the text or its two forms.
Key = tuple[str | None, Any]


def texts_of(source: Path) -> set[Key]:
    """Return what a module marks as to be translated."""
    found = extract_from_file("python", source, keywords=FUNCTIONS)
    return {(context, text) for _, text, _, context in found}


def catalog(locale: str) -> Catalog:
    return read_po(BytesIO(po_path(locale).read_bytes()), locale=locale, abort_invalid=True)


def po_path(locale: str) -> Path:
    return PACKAGE / "locale" / locale / "LC_MESSAGES" / "django.po"


def strings(text: Any) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text)


def placeholders(text: str) -> list[str]:
    return sorted(re.findall(r"%(?:\(\w+\))?.", text))


# The catalogues.


def test_these_are_the_languages() -> None:
    assert {path.name for path in (PACKAGE / "locale").iterdir()} == PLURALS.keys()
    assert all(get_language_info(to_language(locale)) for locale in PLURALS)


@EVERY_LOCALE
def test_every_text_of_the_code_is_in_the_catalogue_and_no_other(locale: str) -> None:
    in_code = set().union(*map(texts_of, SOURCES))
    found = catalog(locale)
    assert {(message.context, message.id) for message in found if message.id} == in_code
    assert len(in_code) > 15
    assert dict(found.obsolete) == {}


@EVERY_LOCALE
def test_every_text_is_translated_with_its_placeholders_and_end(locale: str) -> None:
    found = catalog(locale)
    number, _ = PLURALS[locale]
    for message in found:
        if not message.id:
            continue
        assert not message.fuzzy, message.id
        translated = strings(message.string)
        assert len(translated) == (number if message.pluralizable else 1), message.id
        for text in translated:
            assert text.strip() == text != ""
            assert placeholders(text) == placeholders(strings(message.id)[0])
            if strings(message.id)[0].endswith("."):
                assert text.endswith((".", "。"))


@EVERY_LOCALE
def test_the_language_counts_as_it_does(locale: str) -> None:
    number, form = PLURALS[locale]
    compiled = translations(po_path(locale).with_suffix(".mo").read_bytes())
    assert f"nplurals={number};" in compiled.info()["plural-forms"]
    c2py = gettext.c2py(compiled.info()["plural-forms"].partition("plural=")[2].rstrip(";"))
    counts = [*range(200), 1000, 10**6]
    assert [c2py(n) for n in counts] == [int(form(n)) for n in counts]


def translations(mo: bytes) -> gettext.GNUTranslations:
    return gettext.GNUTranslations(BytesIO(mo))


@EVERY_LOCALE
def test_what_is_compiled_is_what_is_in_the_source(locale: str) -> None:
    made = BytesIO()
    write_mo(made, catalog(locale))
    committed = translations(po_path(locale).with_suffix(".mo").read_bytes())
    expected: Any = translations(made.getvalue())
    assert texts_in(committed) == texts_in(expected)
    assert committed.info()["plural-forms"] == expected.info()["plural-forms"]


def texts_in(compiled: Any) -> dict[Any, str]:
    """Return the texts without the header, which compilers write in ways of their own."""
    return {key: text for key, text in compiled._catalog.items() if key}


# The code.

# What clients see of these is their first argument; of `message_user`, the second.
SEEN = {
    **dict.fromkeys(["Http404", "PermissionDenied", "HttpResponse"], 0),
    **dict.fromkeys(["SelectionError", "UnknownRowsError", "LostSelectionError"], 0),
    "message_user": 1,
}


def unmarked(tree: ast.AST) -> Iterator[str]:
    """Yield texts that clients see as they are written."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        for shown in node.args[SEEN[name] :][:1] if name in SEEN else ():
            if isinstance(shown, ast.Constant | ast.JoinedStr | ast.BinOp):
                yield ast.unparse(shown)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_text_is_shown_as_it_is_written(path: Path) -> None:
    assert list(unmarked(TREES[path])) == []


@pytest.mark.parametrize(
    "source",
    ["raise Http404('no')", "HttpResponse(f'{a}.', status=413)", "self.message_user(r, a + '.')"],
)
def test_a_text_that_is_not_marked_is_found(source: str) -> None:
    assert list(unmarked(ast.parse(source)))


# Limits.


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (TooManyMembersError(1), "This download is limited to 1 file. Select fewer files."),
        (TooManyMembersError(5000), "This download is limited to 5,000 files. Select fewer files."),
        (
            TooManyMembersError(1, 4),
            "You selected 4 items, but only 1 item can be downloaded at a time.",
        ),
        (
            TooManyMembersError(1000, 12345),
            "You selected 12,345 items, but only 1,000 items can be downloaded at a time.",
        ),
        (
            TooManyBytesError(5 * 2**30),
            "This download is limited to 5.0\xa0GB. Select fewer files.",
        ),
        (DownloadTooLargeError("quota"), "This download is too large. Select fewer files."),
    ],
)
def test_a_client_is_told_the_limit_and_what_to_do(error: DownloadTooLargeError, text: str) -> None:
    assert error.client_text == text


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (TooManyMembersError(5000), "the download has more files than its limit of 5,000"),
        (TooManyMembersError(2, 4), "4 rows were selected, more than the limit of 2"),
        (TooManyBytesError(5000), "the download has more bytes than its limit of 5,000"),
    ],
)
def test_a_log_is_english_whatever_the_language_is(error: DownloadTooLargeError, text: str) -> None:
    with override("de"):
        assert str(error) == text


@pytest.mark.parametrize(
    ("language", "text"),
    [
        (
            "de",
            "Dieser Download ist auf 5,0\xa0GB beschränkt. Bitte wählen Sie weniger Dateien aus.",
        ),
        (
            "de-at",
            "Dieser Download ist auf 5,0\xa0GB beschränkt. Bitte wählen Sie weniger Dateien aus.",
        ),
        ("it", "This download is limited to 5,0\xa0GB. Select fewer files."),
    ],
)
def test_bytes_are_written_as_the_language_does(language: str, text: str) -> None:
    with override(language):
        assert TooManyBytesError(5 * 2**30).client_text == text


class Limited(ZipDownloadView):
    """A view whose download is over the limit that its URL names."""

    def get_members(self) -> Any:
        raise TooManyMembersError(self.kwargs["limit"])


@pytest.mark.parametrize(
    ("limit", "text"),
    [
        (1, "Ce téléchargement est limité à 1 fichier. Sélectionnez moins de fichiers."),
        (2, "Ce téléchargement est limité à 2 fichiers. Sélectionnez moins de fichiers."),
    ],
)
def test_a_413_is_in_the_language_of_the_request(limit: int, text: str) -> None:
    with override("fr"):
        response = Limited.as_view()(RequestFactory().get("/"), limit=limit)
    assert response.status_code == 413
    assert response.content.decode() == text
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
