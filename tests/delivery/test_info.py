"""What is known of an archive beforehand: it is what the response then says."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from django.test import RequestFactory
from django.utils import translation
from django.utils.translation import gettext

from django_stream_zip import NO_COMPRESSION_32, NO_COMPRESSION_AUTO, ZIP_32
from django_stream_zip.members import bytes_member
from django_stream_zip.response import ZipInfo, zip_info, zip_response

TIME = datetime(2026, 1, 31)
PHOTO = bytes_member(b"x" * 100, "a.jpg")
TEXT = bytes_member(b"x" * 100, "a.txt", compress=True)
PLAIN = ("b.jpg", TIME, 0o100644, NO_COMPRESSION_AUTO(3), (b"abc",))
HELD = ("c.jpg", TIME, 0o100644, NO_COMPRESSION_32, (b"abc",))
DEFLATED = ("d.txt", TIME, 0o100644, ZIP_32, (b"abc",))

CASES: list[tuple[list[Any], dict[str, Any], list[str]]] = [
    ([], {}, []),
    ([PHOTO], {}, []),
    ([PHOTO], {"comment": "a"}, []),
    ([PHOTO, TEXT], {}, ["compressed"]),
    ([bytes_member(b"x" * 100, "a.txt")], {"compress": False}, []),
    ([PHOTO], {"password": "secret"}, ["password"]),
    ([PHOTO, PLAIN], {}, ["no_version"]),
    ([HELD], {}, ["unknown_size", "no_version"]),
    ([DEFLATED, TEXT], {"password": "a"}, ["compressed", "unknown_size", "password", "no_version"]),
]


def codes_of(info: ZipInfo) -> list[str]:
    return [reason.code for reason in info.reasons]


@pytest.mark.parametrize(("members", "options", "codes"), CASES, ids=map(str, range(len(CASES))))
def test_it_is_what_the_response_says(
    members: list[Any], options: dict[str, Any], codes: list[str]
) -> None:
    info = zip_info(members, **options)
    head = zip_response(RequestFactory().head("/"), members, **options)
    length = head.headers.get("Content-Length")
    assert info.length == (None if length is None else int(length))
    assert info.is_resumable == ("Accept-Ranges" in head.headers)
    assert (info.members, codes_of(info)) == (len(members), codes)


def test_a_generator_is_not_iterated() -> None:
    def members() -> Any:
        raise AssertionError
        yield

    info = zip_info(members())
    assert (info.length, info.members, codes_of(info)) == (None, None, ["generator"])


def test_it_is_for_json_and_in_the_language_of_the_client() -> None:
    with translation.override("de"):
        told = json.loads(json.dumps(zip_info([PHOTO], password="a").as_dict()))
        text = gettext("The archive is encrypted with a password.")
    assert "Passwort" in text
    assert told.pop("length") > 100
    assert told == {
        "members": 1,
        "is_resumable": False,
        "reasons": [{"code": "password", "text": text}],
    }


def test_what_the_response_refuses_is_refused() -> None:
    with pytest.raises(TypeError):
        zip_info(5)
