"""A proxy: CONNECT opens a tunnel, a request for a whole address is forwarded."""

from __future__ import annotations

import select
import socket
from urllib.parse import urlsplit

from support.raw_server import Connection, RawServer, head, read


class Proxy(RawServer):
    """The proxy. Its ``requests`` are what it was asked, tunnelled bytes not included."""

    def __init__(self) -> None:
        super().__init__(read, _pass_on)


def _pass_on(connection: Connection) -> None:
    request = connection.requests[-1]
    if request.method == "CONNECT":
        host, _, port = request.target.rpartition(":")
        with socket.create_connection((host, int(port))) as origin:
            connection.run(head(200))
            _tunnel(connection.socket, origin)
        raise ConnectionError  # a tunnel ends with its connection
    target = urlsplit(request.target)
    with socket.create_connection((target.hostname, target.port)) as origin:
        # What is meant for the proxy itself goes no further (RFC 9110, 11.7.2).
        lines = request.head.split(b"\r\n")[1:]
        kept = [line for line in lines if not line.lower().startswith(b"proxy-")]
        first = f"{request.method} {target.path} HTTP/1.1".encode()
        origin.sendall(b"\r\n".join([first, *kept]) + request.body)
        ready, _, _ = select.select([connection.socket, origin], [], [])
        if connection.socket in ready:  # the client has nothing to say but that it is gone
            raise ConnectionError
        answer = Connection(connection.server, origin, connection.number).read_message()
    connection.run(answer.head + answer.body)


def _tunnel(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes both ways until either side closes."""
    opposite = {one: other, other: one}
    while True:
        for side in select.select([one, other], [], [])[0]:
            data = side.recv(65_536)
            if not data:
                return
            opposite[side].sendall(data)
