"""Tests of django_stream_zip: programs the package did not make judge the archives it makes."""

from __future__ import annotations
