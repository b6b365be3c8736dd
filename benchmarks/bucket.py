"""A bucket in this process that speaks as much of S3 as reading takes, and counts what is asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

NAME = "bucket"
TIME = datetime(2024, 2, 29, 12, 34, 56, tzinfo=UTC)
_PIECE = 16_384
_PERIOD = bytes(range(251)) * 67  # a piece from any shift


def content(size: int) -> bytes:
    """Return what an object of that size holds."""
    return bytes(range(251)) * (size // 251) + bytes(range(size % 251))


class Bucket:
    """The sizes of the objects, and how often the store was asked.

    They hold a pattern; where `gzipped` is given, all hold that, and have the content encoding.
    """

    def __init__(self, sizes: dict[str, int], gzipped: bytes | None = None) -> None:
        self.sizes = sizes
        self.gzipped = gzipped
        self.requests = 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    bucket: Bucket

    def log_message(self, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        start, stop = self._answer()
        if self.bucket.gzipped is not None:
            self.wfile.write(self.bucket.gzipped[start:stop])
            return
        for position in range(start, stop, _PIECE):
            length, shift = min(_PIECE, stop - position), position % 251
            self.wfile.write(_PERIOD[shift : shift + length])

    def _answer(self) -> tuple[int, int]:
        """Send the headers; return which bytes are asked for."""
        self.bucket.requests += 1
        key = unquote(urlsplit(self.path).path).removeprefix(f"/{NAME}/")
        size = self.bucket.sizes.get(key)
        if size is None:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return 0, 0
        start, stop = 0, size
        if wanted := self.headers["Range"]:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start, stop = int(first), min(size, int(last) + 1 if last else size)
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        self.send_header("Content-Length", str(stop - start))
        if self.bucket.gzipped is not None:
            self.send_header("Content-Encoding", "gzip")
        self.send_header("ETag", f'"{size:032x}"')
        self.send_header("Last-Modified", format_datetime(TIME, usegmt=True))
        self.end_headers()
        return start, stop


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Of its own five, those who connect at once lose some, and a lost one is sent a second later.
    request_queue_size = 128


@contextmanager
def serving(bucket: Bucket) -> Iterator[int]:
    """Serve a bucket until the block ends; yield the port."""
    server = _Server(("127.0.0.1", 0), type("Bound", (_Handler,), {"bucket": bucket}))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
