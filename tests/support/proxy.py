"""A TCP proxy that cuts connections after so many bytes."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self


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
