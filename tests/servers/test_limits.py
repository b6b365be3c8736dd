"""A limit of downloads at once, over real servers: given back by the end and by a disconnect."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from tests.servers.harness import Server, new_token
from tests.support.network import eventually


def begin(stack: ExitStack, server: Server, path: str) -> int:
    """Begin a download, which goes on until the stack is closed; return its status."""
    connection: Any = stack.enter_context(server.connect())
    connection.request("GET", path)
    response = stack.enter_context(connection.getresponse())
    response.read(1000)
    status: int = response.status
    return status


def test_a_client_who_goes_away_makes_room(one_of_each: Server) -> None:
    server, user = one_of_each, new_token()
    slow = f"/folder/album/?user={user}"  # more than socket buffers hold
    short = f"/folder/tiny/?user={user}"
    for _ in range(2):  # in the second turn, both have made room
        with ExitStack() as stack:
            for _ in range(2):
                assert eventually(lambda: begin(stack, server, slow) == 200)
            refused = server.ask(short)
            assert (refused.status, refused.headers["retry-after"]) == (503, "30")
            assert server.ask(short, method="HEAD").status == 200
            assert server.ask(f"/folder/tiny/?user=not-{user}").status == 200
    for _ in range(4):  # more than there are slots, one after the other
        assert eventually(lambda: server.ask(short).status == 200)
