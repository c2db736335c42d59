"""The place that presigned addresses lead to: it takes parts, and knows no token."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from urllib.parse import parse_qs

from fanvue_async.testing.exchange import RefusedError, Reply
from fanvue_async.testing.routes import Access, Call, Route, Routes


class Storage:
    """The parts of uploads, by upload and number."""

    def __init__(self) -> None:
        self._signature = secrets.token_urlsafe(16)
        self._parts: dict[str, dict[int, bytes]] = {}

    def path(self, upload: str, number: int) -> str:
        """Return the path of a part, signed."""
        return f"/storage/{upload}/{number}?signature={self._signature}"

    def put(self, call: Call) -> Reply:
        """Take a part; the headers of the API do not belong here."""
        foreign = [
            n for n in ("Authorization", "X-Fanvue-API-Version") if n in call.request.headers
        ]
        if foreign:
            raise RefusedError.saying(400, f"{foreign[0]} does not belong to a presigned request")
        given = parse_qs(call.request.path.partition("?")[2])
        if given.get("signature") != [self._signature]:
            raise RefusedError.saying(403, "The signature does not match")
        parts = self._parts.setdefault(call.path["uploadId"], {})
        parts[int(call.path["partNumber"])] = call.request.body
        return Reply(200, b"", {"ETag": etag(call.request.body)})

    def parts(self, upload: str) -> Mapping[int, bytes]:
        """Return the parts that have arrived, by number."""
        return self._parts.get(upload, {})


def etag(content: bytes) -> str:
    """Return what a part is known by."""
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


STORAGE: Routes = (
    Storage,
    (Route("PUT", "/storage/{uploadId}/{partNumber}", Storage.put, Access("", is_open=True)),),
)
