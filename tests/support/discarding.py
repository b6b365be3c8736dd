"""A store that speaks as much of S3 as an upload needs, counts requests, and keeps no bytes."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

_LENGTH = 1 << 20


class Handler(BaseHTTPRequestHandler):
    """Answers, and says what it was asked in `server.asked`."""

    protocol_version = "HTTP/1.1"
    server: Any

    def do_HEAD(self) -> None:
        self._answer("head", 404)

    def do_GET(self) -> None:
        self._answer("list", 200, "<ListMultipartUploadsResult></ListMultipartUploadsResult>")

    def do_DELETE(self) -> None:
        self._answer("abort", 204)

    def do_POST(self) -> None:
        self._read()
        query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        if "uploads" in query:
            body = "<InitiateMultipartUploadResult><UploadId>1</UploadId>"
            self._answer("begin", 200, f"{body}</InitiateMultipartUploadResult>")
        else:
            body = "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>"
            self._answer("complete", 200, body)

    def do_PUT(self) -> None:
        length = self._read()
        self.server.lengths.append(length)
        self._answer("part", 200)

    def _read(self) -> int:
        length = left = int(self.headers.get("Content-Length", 0))
        while left:
            left -= len(self.rfile.read(min(left, _LENGTH)))
        return length

    def _answer(self, what: str, status: int, body: str = "") -> None:
        self.server.asked.append(what)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{hashlib.md5(what.encode()).hexdigest()}"')
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def discarding() -> Iterator[Any]:
    """Run one; give the server, with `url`, what was `asked`, and the `lengths` of parts."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked, server.lengths = [], []  # type: ignore[attr-defined]
        server.url = f"http://127.0.0.1:{server.server_address[1]}"  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
