"""Uploads: a session, its parts, its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import attrs

from fanvue_async.testing.exchange import RefusedError, Reply, look_up
from fanvue_async.testing.media import KINDS
from fanvue_async.testing.routes import Access, Call, Route, Routes
from fanvue_async.testing.storage import etag
from fanvue_async.testing.users import Row, new_uuid, uuid_of
from fanvue_async.testing.values import body, fields, in_json, list_of, number, one_of, text

if TYPE_CHECKING:
    from fanvue_async.testing.media import Media, State
    from fanvue_async.testing.storage import Storage


@attrs.define
class Upload:
    """An upload in progress."""

    media: str
    given: Row
    """What the session was asked for: ``name``, ``filename``, ``mediaType``."""
    content: bytes | None = None
    """All of it, when it is complete."""


class Uploads:
    """As ``fake.uploads``."""

    def __init__(self, media: Media, storage: Storage) -> None:
        self._media = media
        self._storage = storage
        self._uploads: dict[str, Upload] = {}
        self.part_size: int | None = None
        """If set, sessions tell this size of a part; the official text has no such field."""
        self.state_after: State = "ready"
        """What becomes of a media item whose upload is complete."""

    @property
    def begun(self) -> list[Upload]:
        """All uploads, oldest first."""
        return list(self._uploads.values())

    def content(self, media: UUID | str) -> bytes | None:
        """Return what was uploaded for a media item; None until it is complete."""
        uuid = uuid_of(media)
        return next((each.content for each in self.begun if each.media == uuid), None)

    def create(self, call: Call) -> Any:
        """POST /media/uploads."""
        given, upload = call.body, new_uuid()
        media = self._media.add(given["name"], kind=given["mediaType"], state="created")
        self._uploads[upload] = Upload(media, dict(given))
        answer: Row = {"mediaUuid": media, "uploadId": upload}
        if self.part_size is not None:
            size = given.get("sizeBytes")
            total = None if size is None else -(-int(size) // self.part_size)
            answer.update(partSize=self.part_size, maxParts=10_000, totalParts=total)
        return answer

    def _find(self, call: Call) -> Upload:
        """Find an upload; that an unknown one is a 404 is documented for creators alone."""
        return look_up(self._uploads, call.path["uploadId"], "Upload")

    def part_url(self, call: Call) -> Reply:
        """GET /media/uploads/{uploadId}/parts/{partNumber}/url."""
        self._find(call)
        part = call.path["partNumber"]
        if not (part.isdecimal() and 1 <= int(part) <= 10_000):  # noqa: PLR2004 - S3's limit
            raise RefusedError.invalid("partNumber must be from 1 to 10000")
        path = self._storage.path(call.path["uploadId"], int(part))
        url = f"http://{call.request.headers['Host']}{path}"
        return Reply.with_body(200, url.encode(), "text/plain; charset=utf-8")

    def complete(self, call: Call) -> Any:
        """PATCH /media/uploads/{uploadId}: the parts must be those that arrived, in order."""
        upload, stored = self._find(call), self._storage.parts(call.path["uploadId"])
        listed = call.body.get("parts")
        numbers = sorted(stored) if listed is None else [int(p["PartNumber"]) for p in listed]
        if not numbers or numbers != sorted(set(numbers)) or not set(numbers) <= set(stored):
            raise RefusedError.invalid("parts must be all that were uploaded, in their order")
        for part in listed or ():
            expected = etag(stored[int(part["PartNumber"])]).strip('"')
            if part.get("ETag", expected).strip('"') != expected:
                raise RefusedError.invalid(f"the ETag of part {part['PartNumber']} is another")
        upload.content = b"".join(stored[each] for each in numbers)
        self._media.set_state(upload.media, self.state_after)
        return {"status": "processing"}


_SESSION = body(
    {"name": text(1, 255), "filename": text(1, 255), "mediaType": one_of(*KINDS)},
    sizeBytes=in_json(number(1, 1_610_612_736)),
)
_PART = fields({"PartNumber": in_json(number(1))}, ETag=text())
_PARTS = body(parts=list_of(_PART))
_ALL, _ONE = "/media/uploads", "/media/uploads/{uploadId}"
_WRITE = Access("write:media", "write:creator")

UPLOADS: Routes = (
    Uploads,
    (
        Route("POST", _ALL, Uploads.create, _WRITE, errors="", body=_SESSION),
        Route("GET", f"{_ONE}/parts/{{partNumber}}/url", Uploads.part_url, _WRITE, errors=""),
        Route("PATCH", _ONE, Uploads.complete, _WRITE, errors="", body=_PARTS),
    ),
)
