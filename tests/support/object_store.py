"""An object store in this process that does as a test says: breaks bodies off, lies, refuses.

It speaks as much of three protocols as reading takes. Objects are put into it directly.
"""

from __future__ import annotations

import base64
import itertools
import json
import socket
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.contents import Pattern
from tests.support.network import eventually

BUCKET = "bucket"
TIME = datetime(2024, 2, 29, 12, 34, 56, tzinfo=UTC)
PIECE = 16_384

_versions = itertools.count(1)


@dataclass
class Stored:
    """An object."""

    data: bytes | Pattern
    encoding: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    # Sizes of parts that have a checksum each, as GetObjectAttributes tells.
    parts: list[int] = field(default_factory=list)
    version: int = field(default_factory=lambda: next(_versions))

    @property
    def etag(self) -> str:
        return f'"{self.version:032x}"'


class Faults:
    """What goes wrong. As it is made: nothing."""

    def __init__(self) -> None:
        self.break_after: list[int] = []  # for each body in turn, after how many bytes it breaks
        self.break_each = 0  # so many bodies of each object break after 1,000 bytes
        self.replace_after: tuple[str, Stored] | None = None  # in the middle of the next body
        self.status: int | None = None  # the answer to everything
        self.ignores_conditions = False
        self.ignores_ranges = False
        self.extra_total = 0  # added to what a body says the object's size is
        self.moved_end = 0  # added to the end of a range that is answered
        self.extra_bytes = 0  # sent after the end that was asked for
        self.latency = 0.0  # seconds before each answer
        self.gathers = 0  # requests that have to be there at once before any is answered
        self.stall = 0.0  # seconds to wait in the middle of a body


class Seen:
    """What is stored, what goes wrong, and what was asked, in one test.

    A request keeps to what was there when it came: one that outlives its test counts nowhere else.
    """

    def __init__(self) -> None:
        self.objects: dict[str, Stored] = {}
        self.faults = Faults()
        self.asked: list[str] = []  # "head", "get", "attributes"
        self.headers: list[dict[str, str]] = []
        self.sent = 0
        self.open_bodies = 0
        self.broken: Counter[str] = Counter()
        self.at_once = 0
        self.most_at_once = 0


class Store:
    """What the server serves, and what it was asked."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.connections = 0
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.seen = Seen()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.seen, name)

    def put(self, name: str, data: bytes | Pattern, **kwargs: Any) -> Stored:
        """Store or replace an object."""
        stored = Stored(data, **kwargs)
        self.objects[name] = stored
        return stored


@dataclass
class Asked:
    """A request, in whichever protocol it came."""

    kind: str
    key: str
    condition: str | None = None
    range: str | None = None
    unmet: int = 412  # the status where the condition isn't met


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    store: Store
    seen: Seen

    def handle(self) -> None:
        with self.store.lock:
            self.store.connections += 1
        try:
            super().handle()
        except OSError:
            pass
        finally:
            with self.store.lock:
                self.store.connections -= 1

    def log_message(self, *args: Any) -> None:
        pass

    # Dialects.

    def asked(self) -> Asked | None:
        """Read the request; None is one that is not of an object."""
        raise NotImplementedError

    def send_metadata(self, stored: Stored, key: str) -> None:
        """Answer a question for metadata; as S3 and Azure do it, with headers only."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(stored.data)))
        self.send_object_headers(stored)
        self.end_headers()

    def send_object_headers(self, stored: Stored) -> None:
        self.send_header("ETag", stored.etag)
        self.send_header("Last-Modified", format_datetime(TIME, usegmt=True))
        if stored.encoding:
            self.send_header("Content-Encoding", stored.encoding)
        for name, value in stored.headers.items():
            # Checksums are of whole objects, and come with whole responses.
            if not (self.headers["Range"] and "checksum" in name):
                self.send_header(name, value)

    def send_attributes(self, stored: Stored) -> None:
        raise NotImplementedError

    # What all of them do.

    def do_GET(self) -> None:
        self.answer()

    def do_HEAD(self) -> None:
        self.answer()

    def answer(self) -> None:
        seen = self.seen = self.store.seen
        asked = self.asked()
        if asked is None:
            return self.send_json({})
        with self.store.lock:
            seen.at_once += 1
            seen.most_at_once = max(seen.most_at_once, seen.at_once)
        time.sleep(seen.faults.latency)
        eventually(lambda: seen.most_at_once >= seen.faults.gathers)
        try:
            self.answer_for(seen, asked)
        finally:
            with self.store.lock:
                seen.at_once -= 1

    def answer_for(self, seen: Seen, asked: Asked) -> None:
        seen.asked.append(asked.kind)
        seen.headers.append({name.lower(): value for name, value in self.headers.items()})
        stored = seen.objects.get(asked.key)
        if seen.faults.status is not None:
            return self.refuse(seen.faults.status)
        if stored is None:
            return self.refuse(404)
        state = (None, stored.etag, str(stored.version))
        if asked.condition not in state and not seen.faults.ignores_conditions:
            return self.refuse(asked.unmet)
        if asked.kind == "head":
            return self.send_metadata(stored, asked.key)
        if asked.kind == "attributes":
            return self.send_attributes(stored)
        if (refusal := self.archived(stored)) is not None:
            return self.refuse(*refusal)
        self.send_body(stored, asked)

    def send_json(self, told: dict[str, str]) -> None:
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def archived(self, stored: Stored) -> tuple[int, str] | None:
        """Return the refusal of an object that is archived."""
        return None

    def refuse(self, status: int, code: str = "Refused") -> None:
        body = b"" if self.command == "HEAD" else f"<Error><Code>{code}</Code></Error>".encode()
        self.send_response(status)
        self.send_header("x-ms-error-code", code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_body(self, stored: Stored, asked: Asked) -> None:
        faults, size = self.seen.faults, len(stored.data)
        total = size + faults.extra_total
        first, last = 0, size
        if asked.range and not faults.ignores_ranges:
            begin, _, end = asked.range.removeprefix("bytes=").partition("-")
            first, last = int(begin), min(size, int(end) + 1 if end else size)
            if first >= size:
                return self.refuse(416)
            last = max(first, min(size, last + faults.moved_end))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last - 1}/{total}")
        else:
            self.send_response(200)
        # What is more than was asked for only comes through if it is announced.
        self.send_header("Content-Length", str(last - first + faults.extra_bytes))
        self.send_object_headers(stored)
        self.end_headers()
        self.seen.open_bodies += 1
        try:
            self.send_pieces(stored, first, last, self.limit(asked.key))
            self.wfile.write(b"x" * faults.extra_bytes)
        finally:
            self.seen.open_bodies -= 1

    def limit(self, key: str) -> int | None:
        """Say after how many bytes this body breaks."""
        faults, broken = self.seen.faults, self.seen.broken
        if broken[key] < faults.break_each:
            broken[key] += 1
            return 1000
        return faults.break_after.pop(0) if faults.break_after else None

    def send_pieces(self, stored: Stored, first: int, last: int, limit: int | None) -> None:
        middle = (first + last) // 2
        for position in range(first, last, PIECE):
            piece = stored.data[position : min(position + PIECE, last)]
            if limit is not None and position - first + len(piece) > limit:
                self.wfile.write(piece[: limit - (position - first)])
                self.break_off()
                return
            if position + len(piece) > middle:
                self.in_the_middle()
            self.seen.sent += len(piece)  # before: who got it may look at once
            self.wfile.write(piece)

    def in_the_middle(self) -> None:
        faults = self.seen.faults
        if faults.replace_after:
            name, stored = faults.replace_after
            faults.replace_after = None
            self.seen.objects[name] = stored
        stall, faults.stall = faults.stall, 0.0
        time.sleep(stall)

    def break_off(self) -> None:
        self.wfile.flush()
        with suppress(OSError):  # the other side may have been faster
            self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True


class S3Handler(Handler):
    def asked(self) -> Asked:
        url = urlsplit(self.path)
        key = unquote(url.path).removeprefix(f"/{BUCKET}/")
        if "attributes" in parse_qs(url.query, keep_blank_values=True):
            return Asked("attributes", key)
        kind = "head" if self.command == "HEAD" else "get"
        return Asked(kind, key, self.headers["If-Match"], self.headers["Range"])

    def archived(self, stored: Stored) -> tuple[int, str] | None:
        how, restore = map(stored.headers.get, ("x-amz-storage-class", "x-amz-restore"))
        is_archived = how == "GLACIER" and "false" not in (restore or "")
        return (403, "InvalidObjectState") if is_archived else None

    def send_attributes(self, stored: Stored) -> None:
        marker = int(self.headers.get("x-amz-part-number-marker", "0"))
        page, position, parts = 2, 0, []
        for number, size in enumerate(stored.parts, 1):
            crc_32 = zlib.crc32(stored.data[position : position + size]).to_bytes(4, "big")
            value = base64.b64encode(crc_32).decode()
            parts.append(
                f"<Part><PartNumber>{number}</PartNumber><Size>{size}</Size>"
                f"<ChecksumCRC32>{value}</ChecksumCRC32></Part>"
            )
            position += size
        told = parts[marker : marker + page]
        truncated = str(marker + page < len(parts)).lower()
        body = (
            f"<GetObjectAttributesResponse><ETag>{stored.etag[1:-1]}</ETag>"
            f"<ObjectSize>{len(stored.data)}</ObjectSize><ObjectParts>"
            f"<IsTruncated>{truncated}</IsTruncated>"
            f"<NextPartNumberMarker>{marker + page}</NextPartNumberMarker>{''.join(told)}"
            "</ObjectParts></GetObjectAttributesResponse>"
        ).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class GoogleHandler(Handler):
    def asked(self) -> Asked | None:
        url = urlsplit(self.path)
        if url.path.startswith(f"/{BUCKET}/"):
            return self.asked_by_xml(unquote(url.path.removeprefix(f"/{BUCKET}/")))
        key = unquote(url.path.partition("/o/")[2])
        if not key:  # Google's package asks for the bucket, in the background, to trace requests
            return None
        asked = parse_qs(url.query)
        # Google's package, where it resumes by itself, asks for the generation it has seen.
        condition = asked.get("ifGenerationMatch", asked.get("generation", [None]))[0]
        kind = "get" if url.path.startswith("/download/") else "head"
        return Asked(kind, key, condition, self.headers["Range"])

    def asked_by_xml(self, key: str) -> Asked:
        """Read a request of the older protocol, which obstore speaks."""
        generation = parse_qs(urlsplit(self.path).query).get("generation", [None])[0]
        kind = "head" if self.command == "HEAD" else "get"
        # A generation that was replaced is gone, and no condition.
        return Asked(kind, key, generation, self.headers["Range"], unmet=404)

    def send_object_headers(self, stored: Stored) -> None:
        super().send_object_headers(stored)
        self.send_header("X-Goog-Generation", str(stored.version))

    def send_metadata(self, stored: Stored, key: str) -> None:
        if self.command == "HEAD":
            return super().send_metadata(stored, key)
        told = {
            "name": key,
            "bucket": BUCKET,
            "size": str(len(stored.data)),
            "generation": str(stored.version),
            "updated": TIME.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "etag": stored.etag,
        }
        if stored.encoding:
            told["contentEncoding"] = stored.encoding
        self.send_json(told)


class AzureHandler(Handler):
    def asked(self) -> Asked:
        key = unquote(urlsplit(self.path).path).removeprefix(f"/account/{BUCKET}/")
        kind = "head" if self.command == "HEAD" else "get"
        ranged = self.headers["x-ms-range"] or self.headers["Range"]
        return Asked(kind, key, self.headers["If-Match"], ranged)

    def archived(self, stored: Stored) -> tuple[int, str] | None:
        is_archived = stored.headers.get("x-ms-access-tier") == "Archive"
        return (409, "BlobArchived") if is_archived else None

    def send_object_headers(self, stored: Stored) -> None:
        super().send_object_headers(stored)
        self.send_header("x-ms-blob-type", "BlockBlob")
        self.send_header("x-ms-version", "2024-01-01")


@contextmanager
def serving(handler: type[Handler]) -> Iterator[tuple[Store, str]]:
    """Run a store until the block ends; give it and its URL."""
    store = Store()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (handler,), {"store": store}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield store, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
