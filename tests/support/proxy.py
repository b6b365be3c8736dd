"""Proxies that cut connections after so many bytes: of any protocol, and one that reads HTTP."""

from __future__ import annotations

import re
import socket
import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Self


class Proxy:
    """Passes bytes on to a port of this machine.

    `cut_after` has for each connection in turn after how many bytes from the server it is cut; when
    it is used up, connections stay.
    """

    def __init__(self, target: int) -> None:
        self.cut_after: list[int] = []
        self._target = target
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut_now()
        self._thread.join(5)

    def cut_now(self) -> None:
        """Cut all connections."""
        for end in list(self._open):
            self._close(end)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            limit = self.cut_after.pop(0) if self.cut_after else None
            self._open |= {client, server}
            for source, target, most in ((client, server, None), (server, client, limit)):
                arguments = (source, target, most)
                threading.Thread(target=self._pass_on, args=arguments, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, left: int | None) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
                if left is not None:
                    left -= len(data)
                    if left <= 0:
                        break
        except OSError:
            pass
        self._close(source)
        self._close(target)

    def _close(self, end: socket.socket) -> None:
        self._open.discard(end)
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()


class _Connection(socketserver.BaseRequestHandler):
    """A connection of the browser: one request, and its answer or the beginning of it."""

    server: CuttingProxy

    def handle(self) -> None:
        self.request.settimeout(30)
        head = b""
        while b"\r\n\r\n" not in head:
            received = self.request.recv(65536)
            if not received:
                return
            head += received
        cut = self.server.next_cut(head)
        with socket.create_connection(("127.0.0.1", self.server.target), timeout=30) as upstream:
            upstream.sendall(re.sub(rb"(?i)\r\nconnection: [^\r]*", b"\r\nConnection: close", head))
            self._pass_on(upstream, cut)

    def _pass_on(self, upstream: socket.socket, left: int | None) -> None:
        while answer := upstream.recv(65536):
            self.request.sendall(answer[:left])
            left = None if left is None else max(0, left - len(answer))
            if left == 0:
                return


class CuttingProxy(socketserver.ThreadingTCPServer):
    """Passes on to a server, cuts the first answer after so many bytes, and keeps all requests.

    The cut is an orderly end of the connection, or a reset.
    """

    def __init__(self, target: int, cut: int, *, reset: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.target = target
        self.heads: list[str] = []
        self._cut = cut
        self._reset = reset

    def next_cut(self, head: bytes) -> int | None:
        """Keep a request, say where to cut its answer."""
        self.heads.append(head.decode())
        return self._cut if len(self.heads) == 1 else None

    def shutdown_request(self, request: Any) -> None:
        """Close a connection; a lingering of no seconds makes it a reset."""
        if self._reset and len(self.heads) == 1:
            request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            request.close()
        else:
            super().shutdown_request(request)

    def url(self, path: str) -> str:
        """Return the URL that goes through the proxy."""
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


@contextmanager
def cutting(port: int, cut: int, *, reset: bool = False) -> Iterator[CuttingProxy]:
    """Run a proxy that cuts the first answer of the server at this port."""
    with CuttingProxy(port, cut, reset=reset) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
