"""What the quick start has made works: `built.py` runs this there, as the tests of `photos`."""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.http import HttpRequest, HttpResponse
from django.test import TestCase, override_settings
from django.urls import path, reverse
from photos.models import Photo

import django_stream_zip
from django_stream_zip.members import queryset_members
from django_stream_zip.response import zip_response

JPEG = b"\xff\xd8" * 1000


def download(request: HttpRequest) -> HttpResponse:
    return zip_response(request, queryset_members(Photo.objects.all(), "image"))


urlpatterns = [path("own/", download)]


class QuickStart(TestCase):
    def setUp(self) -> None:
        self.photo = Photo(title="Dawn")
        self.photo.image.save("dawn.jpg", ContentFile(JPEG))

    def names(self, url: str) -> list[str]:
        response = self.client.get(url)
        data = response.getvalue()
        assert int(response.headers["Content-Length"]) == len(data)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert [archive.read(name) for name in archive.namelist()] == [JPEG]
            return archive.namelist()

    def test_it_is_the_installed_package(self) -> None:
        assert Path(django_stream_zip.__file__).is_relative_to(sys.prefix)

    def test_the_page_links_to_the_download(self) -> None:
        self.client.force_login(User.objects.create_user("somebody"))
        url = reverse("photos-download")
        self.assertContains(self.client.get(reverse("photos")), f'href="{url}"')
        assert self.names(url) == ["Dawn.jpg"]

    def test_nobody_gets_it_without_logging_in(self) -> None:
        assert self.client.get(reverse("photos-download")).status_code == 302

    @override_settings(ROOT_URLCONF=__name__)
    def test_a_view_returns_a_response(self) -> None:
        assert self.names("/own/") == ["dawn.jpg"]
