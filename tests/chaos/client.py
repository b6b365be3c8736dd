"""Model clients: what people's download programs do when a connection ends early.

============ ===================================================================================
`if-range`   browsers: `Range` with `If-Range`; a 200 is a new beginning
`compare`    `Range` alone, but an answer under another entity tag is a new beginning
`segments`   aria2c, players: the same as `if-range`, a third of the archive with each request
`naive`      `curl -C -`, `wget -c`: `Range` alone, and nothing compared but the position.
             Nobody can save it from pieces of two archives: it only finds out by a CRC-32
============ ===================================================================================
"""

from __future__ import annotations

import http.client
import re
import socket
import struct
import time
from collections.abc import Callable
from contextlib import closing
from typing import Final

from tests.chaos.scenario import ENDS, Event, Scenario
from tests.chaos.servers import BUFFER, Killable

# Seconds without a byte, and for all of a download, after which it hangs.
STALL: Final = 30.0
DEADLINE: Final = 90.0
ATTEMPTS: Final = 8

_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class Refused(Exception):
    """The first answer was none to go on with."""


class Failed(Exception):
    """The download ended early, and the client knows."""


class GaveUp(Exception):
    """The client went away for good."""


class Hang(Exception):
    """Nothing came for too long."""


class _Again(Exception):
    """The connection is over; there may be another one."""


class Connection(http.client.HTTPConnection):
    """A connection that takes little more than was read of it."""

    def connect(self) -> None:
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        self.sock.settimeout(self.timeout)
        self.sock.connect((self.host, self.port))


class Client:
    """One download by one kind of client."""

    def __init__(
        self,
        scenario: Scenario,
        path: str,
        servers: list[Killable],
        happen: Callable[[Event, Killable, int], None],
    ) -> None:
        self.kind = scenario.client
        self.body = bytearray()
        self.tag: str | None = None
        self.total: int | None = None
        self.history: list[str] = []
        self.begun_at = 0.0  # when the answer was asked for with which the body begins
        self._path = path
        self._servers = servers
        self._happen = happen
        self._events = list(scenario.events)
        self._guess = sum(scenario.sizes) + 300
        self._give_up_at = time.monotonic() + DEADLINE

    def run(self) -> bytes:
        """Download; give what came, once it is as long as it was said to be."""
        for attempt in range(ATTEMPTS):
            server = self._servers[attempt % len(self._servers)]
            server.is_there.wait(DEADLINE)
            kills = server.kills
            try:
                if self._attempt(server):
                    return bytes(self.body)
            except TimeoutError as error:
                if server.kills == kills:  # else it takes its time to start again
                    raise Hang(f"after {len(self.body)} bytes; {server.stacks()}") from error
            except _Again as reason:
                self.history.append(str(reason))
            except (OSError, http.client.HTTPException) as error:
                self.history.append(f"{type(error).__name__} at {len(self.body)}")
        raise Failed(f"{ATTEMPTS} attempts")

    def _attempt(self, server: Killable) -> bool:
        """Ask for what is missing; say whether it is all there then."""
        left = self._give_up_at - time.monotonic()
        if left <= 0:
            raise Hang("no end of it")
        with closing(Connection("127.0.0.1", server.port, timeout=min(STALL, left))) as connection:
            asked_at = time.monotonic()
            connection.request("GET", self._path, headers=self._headers())
            with connection.getresponse() as response:
                self.history.append(f"{response.status} by {server.kind} at {len(self.body)}")
                self._accept(response)
                if not self.body:
                    self.begun_at = asked_at
                self._read(response, connection, server)
        return self.total is None or len(self.body) == self.total

    def _headers(self) -> dict[str, str]:
        start, headers = len(self.body), {"Connection": "close"}
        if self.kind == "segments":
            length = (self.total or 300_000) // 3
            headers["Range"] = f"bytes={start}-{start + length}"
        elif start and self.tag:
            headers["Range"] = f"bytes={start}-"
        if start and self.tag and self.kind in {"if-range", "segments"}:
            headers["If-Range"] = self.tag
        return headers

    def _accept(self, response: http.client.HTTPResponse) -> None:
        """Look at an answer's head: go on, begin anew, or end."""
        if response.status == 206:
            return self._accept_range(response)
        if response.status == 416 and self.body:
            self._begin_anew("416")
        if response.status != 200:
            raise (Failed if self.body else Refused)(str(response.status))
        self.body.clear()
        self.tag = response.getheader("ETag")
        self.total = response.length

    def _accept_range(self, response: http.client.HTTPResponse) -> None:
        match = _CONTENT_RANGE.fullmatch(response.getheader("Content-Range", ""))
        if match is None or int(match[1]) != len(self.body):
            self._begin_anew("another range")
        tag, total = response.getheader("ETag"), int(match[3])
        if self.body and self.kind != "naive":
            if tag != self.tag:
                self._begin_anew("another tag")
            if total != self.total:
                self._begin_anew("another length")
        self.tag, self.total = tag, total

    def _begin_anew(self, reason: str) -> None:
        self.body.clear()
        self.tag = self.total = None
        raise _Again(reason)

    def _read(
        self, response: http.client.HTTPResponse, connection: Connection, server: Killable
    ) -> None:
        """Read to the end of an answer; raise where it isn't as long as it said."""
        left = response.length
        while True:
            self._let_happen(connection, server)
            data = response.read(self._until_next_event())
            if not data:
                break
            self.body += data
            left = None if left is None else left - len(data)
            if time.monotonic() > self._give_up_at:
                raise Hang("no end of it")
        if left:
            raise _Again(f"short by {left}")

    def _position(self, event: Event) -> int:
        return int(event.at * (self.total or self._guess))

    def _until_next_event(self) -> int:
        if not self._events:
            return 65_536
        return min(65_536, max(1, self._position(self._events[0]) - len(self.body)))

    def _let_happen(self, connection: Connection, server: Killable) -> None:
        """Have happen what is due now; after a connection's end, what is due before the next."""
        ended = ""
        while self._events and self._position(self._events[0]) <= len(self.body):
            event = self._events.pop(0)
            self.history.append(f"{event.what} at {len(self.body)}")
            if event.what in {"cut", "close", "give-up"}:
                self._end(connection, event.what)
                ended = ended or event.what
            else:
                self._happen(event, server, len(self.body))
            if event.what == "give-up":
                raise GaveUp
        if ended:
            raise _Again(ended)

    def _end(self, connection: Connection, how: str) -> None:
        """Close the connection, or break it as a client does that is killed."""
        if connection.sock is not None:
            if how != "close":
                linger = struct.pack("ii", 1, 0)
                connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            connection.sock.close()


assert set(ENDS) == {"cut", "close", "give-up", "kill"}
