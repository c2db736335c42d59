"""Media: the files of an account, and how they get there."""

from __future__ import annotations

import asyncio
import mimetypes
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from types import EllipsisType
from typing import Literal
from uuid import UUID

import attrs

from fanvue_async.engine.models import ABSENT
from fanvue_async.engine.operation import Operation
from fanvue_async.errors import DeadlineExceededError, FanvueError, InvalidArgumentError
from fanvue_async.money import Cents
from fanvue_async.paging import Listing, Numbered
from fanvue_async.resources._resource import Resource
from fanvue_async.resources._upload import (
    MAX_SIZE,
    Parts,
    Progress,
    Source,
    Transfer,
    UploadPart,
    checked_seconds,
)
from fanvue_async.resources.chats import MediaType, MediaVariant
from fanvue_async.resources.messages import VariantType
from fanvue_async.resources.vault import VaultResource

MediaStatus = Literal["created", "processing", "ready", "error"]
MediaUsage = Literal["subscribers", "followers", "ppv", "mass_messages"]

_MAX_PRICE = 50_000
_FINAL = frozenset({"ready", "error"})
_SOURCE = re.compile("[a-z0-9_]+")


@attrs.frozen(kw_only=True)
class MediaFile(MediaVariant):
    """One form of a media item, with its own identity."""

    uuid: str


@attrs.frozen(kw_only=True)
class MediaTags:
    """What the API's image recognition found."""

    description: str | None = None
    tags: tuple[str, ...] = ()
    nsfw_category: tuple[str, ...] = ()
    sex_acts: tuple[str, ...] = ()
    body_parts: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    sex_objects: tuple[str, ...] = ()
    setting: tuple[str, ...] = ()
    position: tuple[str, ...] = ()
    skin_color: tuple[str, ...] = ()
    body_type: tuple[str, ...] = ()
    hair_color: tuple[str, ...] = ()
    other_tags: tuple[str, ...] = ()
    important_tags: tuple[str, ...] = ()
    is_nsfw: bool = ABSENT
    media_type: str = ABSENT
    """``image`` or ``video``."""


@attrs.frozen(kw_only=True)
class Media:
    """A file of an account. One that is not ``ready`` has a ``uuid`` and a ``status`` only."""

    uuid: str
    status: str
    """``created``, ``processing``, ``ready`` or ``error``."""
    created_at: datetime | None = None
    url: str | None = attrs.field(default=None, repr=False)
    """Signed: whoever has it can read the file for as long as it works."""
    caption: str | None = None
    description: str | None = None
    name: str | None = None
    media_type: str | None = None
    """``image``, ``video``, ``audio`` or ``document``."""
    recommended_price: Cents | None = None
    """US cents."""
    variants: tuple[MediaFile, ...] = ()
    """Those that were asked for."""
    purchased_by_fan: bool | None = None
    """Only if ``purchased_by`` was asked for."""
    tags: MediaTags | None = None
    """None unless the creator has the recognition switched on."""


@attrs.frozen(kw_only=True)
class BulkMediaError:
    """Why a media item was not found."""

    media_uuid: str
    code: str = ABSENT
    """``NOT_FOUND`` or ``INTERNAL``."""
    message: str = ABSENT


@attrs.frozen(kw_only=True)
class BulkMedia:
    """Several media, by UUID; None for those that ``errors`` is about."""

    results: dict[str, Media | None]
    errors: tuple[BulkMediaError, ...] = ()


@attrs.frozen(kw_only=True)
class GrantedMedia:
    """What lets a consumer see a media item."""

    entitlement_id: str
    status: str = ABSENT
    """``granted``."""


@attrs.frozen(kw_only=True)
class MediaLinkPurchase:
    """Whether a media link was bought."""

    purchased: bool


@attrs.frozen(kw_only=True)
class UploadSession:
    """An upload in progress."""

    media_uuid: str
    upload_id: str
    part_size: int | None = None
    """Bytes of each part but the last, if the API says so; not in its documentation."""
    max_parts: int | None = None
    """Not in the API's documentation."""
    total_parts: int | None = None
    """Not in the API's documentation."""


@attrs.frozen(kw_only=True)
class UploadedMedia:
    """A media item whose file is there."""

    media_uuid: str
    status: str
    """``created``, ``processing``, ``ready`` or ``error``, when it was last looked at."""


@attrs.frozen(kw_only=True)
class UploadCompleted:
    """The state of a media item when all its parts are there."""

    status: str
    """``created``, ``processing``, ``ready`` or ``error``."""


_READ, _WRITE = ("read:media",), ("write:media",)
_WRITE_FOR_CREATOR = ("write:media", "write:creator")
_ARGUMENTS = {"uuid": "media_uuid"}
_VARIANTS = ("variants",)

_LIST = Operation(
    "GET",
    "/media",
    Numbered[Media],
    id="getUserMedia",
    creator_id="getCreatorMedia",
    scopes=_READ,
    commas=("status", "variants"),
)
_GET = Operation(
    "GET",
    "/media/{uuid}",
    Media,
    id="getUserMediaByUuid",
    creator_id="getCreatorMediaByUuid",
    scopes=_READ,
    arguments=_ARGUMENTS,
    commas=_VARIANTS,
)
_CREATE_UPLOAD = Operation(
    "POST",
    "/media/uploads",
    UploadSession,
    id="createUploadSession",
    creator_id="createCreatorUploadSession",
    scopes=_WRITE,
    creator_scopes=_WRITE_FOR_CREATOR,
)
_UPLOAD_PART_URL = Operation(
    "GET",
    "/media/uploads/{uploadId}/parts/{partNumber}/url",
    str,
    id="getUploadPartUrl",
    creator_id="getCreatorUploadPartUrl",
    scopes=_WRITE,
    creator_scopes=_WRITE_FOR_CREATOR,
    texts=("uploadId", "partNumber"),
)
_COMPLETE_UPLOAD = Operation(
    "PATCH",
    "/media/uploads/{uploadId}",
    UploadCompleted,
    id="completeUploadSession",
    creator_id="completeCreatorUploadSession",
    scopes=_WRITE,
    creator_scopes=_WRITE_FOR_CREATOR,
    texts=("uploadId",),
)
_GET_MANY = Operation(
    "GET",
    "/media/bulk",
    BulkMedia,
    id="getBulkMedia",
    scopes=_READ,
    commas=("mediaUuids", "variants"),
)
_ENTITLED = Operation(
    "GET",
    "/media/{uuid}/entitled",
    Media,
    id="getEntitledMedia",
    scopes=_READ,
    arguments=_ARGUMENTS,
    commas=_VARIANTS,
)
# Idempotent: the API gives the same entitlement for the same source and source_ref.
_GRANT = Operation(
    "POST",
    "/media/{uuid}/grant",
    GrantedMedia,
    id="grantMedia",
    scopes=_WRITE,
    idempotent=True,
    arguments=_ARGUMENTS,
)
_LINK_PURCHASED = Operation(
    "GET",
    "/media/links/{uuid}/purchased",
    MediaLinkPurchase,
    id="getMediaLinkPurchaseStatus",
    scopes=_READ,
    arguments={"uuid": "link_uuid"},
)
_UPDATE = Operation[None](
    "PATCH",
    "/media/{uuid}",
    id="updateMedia",
    scopes=_WRITE,
    idempotent=True,
    arguments=_ARGUMENTS,
    assumed=True,
)
_DELETE = Operation[None](
    "DELETE",
    "/media/{uuid}",
    id="deleteMedia",
    scopes=_WRITE,
    arguments=_ARGUMENTS,
    assumed=True,
)


class CreatorMediaResource(Resource):
    """The media of a creator, as ``client.creator(uuid).media``."""

    async def get(
        self,
        media_uuid: UUID | str,
        *,
        purchased_by: UUID | str | None = None,
        variants: Sequence[VariantType] = (),
    ) -> Media:
        """Read about a media item. Scope: ``read:media``.

        Args:
            media_uuid: the media item.
            purchased_by: a fan; whether the fan bought it is in ``purchased_by_fan``.
            variants: the forms to get an address for; without one, no form has an address.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            NotFoundError: there is no such media item.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: getUserMediaByUuid, https://api.fanvue.com/docs/api-reference

        """
        check = self._check(_GET)
        query = {
            "purchasedBy": check.uuid("purchased_by", purchased_by),
            "variants": check.several("variants", variants),
        }
        return await self._call(_GET, media_uuid, query=query)

    async def upload(  # noqa: PLR0913 - all but the first by keyword
        self,
        source: Source,
        *,
        name: str | None = None,
        media_type: MediaType | None = None,
        folder: str | None = None,
        progress: Progress | None = None,
        wait_until_ready: bool = False,
        part_size: int | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - of the whole upload, a typed error
    ) -> UploadedMedia:
        """Upload a file, from the session to the last part. Scope: ``write:media``.

        Four parts are sent at a time, and each is retried on its own. Of the client's
        ``Timeout``, ``attempt`` counts the seconds in which a part makes no progress, and ``total``
        bounds each call of the API, not the upload. Fewer than five parts are in memory. If the
        upload fails or is cancelled, the error has a note with the UUID of the media item.

        Args:
            source: a path, bytes, or an async iterator of bytes.
            name: what the media item is called, 1 to 255 characters. Default: the file's name.
            media_type: ``image``, ``video``, ``audio`` or ``document``. Default: by the file's
                name. Without a path, ``name`` and ``media_type`` are required.
            folder: a folder of the vault to put it into; it must exist.
            progress: called with the number of bytes sent and the total, which is None for an
                iterator. It must not block.
            wait_until_ready: whether to poll the media item, with growing pauses, until its status
                is ``ready`` or ``error``. Needs ``read:media`` as well.
            part_size: bytes of a part, at least 5 MiB. Default: 8 MiB, or a hundredth of the file
                if that is more. If the API names a size, that holds.
            timeout: seconds for the whole upload; None: as long as it makes progress.

        Raises:
            InvalidArgumentError: an argument is out of bounds; or the source is empty, larger than
                1,610,612,736 bytes, or changed while it was read.
            OSError: the file can't be read.
            DeadlineExceededError: ``timeout`` ran out.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: https://api.fanvue.com/docs/tutorials/multipart-media-upload

        """
        filename, kind = name or "", media_type
        if isinstance(source, str | os.PathLike):
            filename = Path(source).name
            kind = kind or _type_of(filename)
        if kind is None or not filename:
            raise InvalidArgumentError("name and media_type are needed unless source is a path")
        self._check_folder(folder)
        parts = Parts(source, part_size)
        begun: list[str] = []
        scope = asyncio.timeout(checked_seconds(timeout))
        try:
            async with scope, parts:
                session = await self.create_upload(name or filename, filename, kind)
                begun.append(session.media_uuid)
                status = await self._send(session, parts, progress)
                if folder is not None:
                    await VaultResource(self._session).attach(folder, begun)
                if wait_until_ready:
                    status = await self._wait(session.media_uuid, status)
                return UploadedMedia(media_uuid=session.media_uuid, status=status)
        except BaseException as error:  # a cancel gets the note, too
            if not (isinstance(error, TimeoutError) and scope.expired()):
                _note(error, begun)
                raise
        late = DeadlineExceededError(f"the upload was not done within {timeout} s")
        late.maybe_processed = bool(begun)
        _note(late, begun)
        raise late

    def _check_folder(self, folder: str | None) -> None:
        """Check the name of a folder as long as nothing has been sent."""
        if folder is not None:
            self._check(_CREATE_UPLOAD).required_text("folder", folder, 255)

    async def _send(self, session: UploadSession, parts: Parts, progress: Progress | None) -> str:
        """Send all parts and complete the upload. Returns the status of the media item."""
        parts.cut_by(session.part_size)
        address_of = partial(self.upload_part_url, session.upload_id)
        sent = await Transfer(self._session, parts, address_of, progress).run()
        try:
            return (await self.complete_upload(session.upload_id, sent)).status
        except FanvueError as error:
            lost = error
        if lost.maybe_processed:
            with suppress(FanvueError):  # then nobody knows, and the first error says so
                status = (await self.get(session.media_uuid)).status
                if status != "created":
                    return status
        raise lost

    async def _wait(self, media_uuid: str, status: str) -> str:
        """Read the status until it stays."""
        pause = 0.5
        while status not in _FINAL:
            await self._session.terms.pool.clockwork.sleep(pause)
            pause = min(pause * 1.5, 15.0)
            status = (await self.get(media_uuid)).status
        return status

    async def create_upload(
        self, name: str, filename: str, media_type: MediaType, *, size_bytes: int | None = None
    ) -> UploadSession:
        """Begin an upload; ``upload`` does all of it. Scope: ``write:media``.

        It is not repeated when its outcome is unknown: each one makes a media item.

        Args:
            name: what the media item is called, 1 to 255 characters.
            filename: the name of its file, 1 to 255 characters.
            media_type: ``image``, ``video``, ``audio`` or ``document``.
            size_bytes: its size, up to 1,610,612,736. **Assumed**: other programs send it.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: createUploadSession, https://api.fanvue.com/docs/api-reference

        """
        check = self._check(_CREATE_UPLOAD)
        json = {
            "name": check.required_text("name", name, 255),
            "filename": check.required_text("filename", filename, 255),
            "mediaType": check.required_text("media_type", media_type),
            "sizeBytes": ...
            if size_bytes is None
            else check.whole("size_bytes", size_bytes, 1, MAX_SIZE),
        }
        return await self._call(_CREATE_UPLOAD, json=json)

    async def upload_part_url(self, upload_id: str, part_number: int) -> str:
        """Get the address that a part goes to. Scope: ``write:media``.

        Send the bytes with ``PUT`` and no header of Fanvue's, and keep ``ETag`` of the response.

        Args:
            upload_id: of :meth:`create_upload`.
            part_number: from 1.

        Returns:
            A presigned address: whoever has it can write the part.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            NotFoundError: there is no such upload.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: getUploadPartUrl, https://api.fanvue.com/docs/api-reference

        """
        number = self._check(_UPLOAD_PART_URL).whole("part_number", part_number, 1, 10_000)
        return await self._call(_UPLOAD_PART_URL, upload_id, number)

    async def complete_upload(self, upload_id: str, parts: Sequence[UploadPart]) -> UploadCompleted:
        """Say that all parts are there. Scope: ``write:media``.

        It is not repeated when its outcome is unknown: read the media item's status to find out.

        Args:
            upload_id: of :meth:`create_upload`.
            parts: all of them; they are sent in ascending order.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            NotFoundError: there is no such upload.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: completeUploadSession, https://api.fanvue.com/docs/api-reference

        """
        check = self._check(_COMPLETE_UPLOAD)
        given = check.several("parts", parts)
        if not all(isinstance(part, UploadPart) for part in given):
            raise check.refuse("each of parts must be an UploadPart")
        ordered = sorted(given, key=lambda part: part.number)
        json = {"parts": [{"PartNumber": part.number, "ETag": part.etag} for part in ordered]}
        return await self._call(_COMPLETE_UPLOAD, upload_id, json=json)

    def list(  # noqa: PLR0913 - the API's filters, each by keyword
        self,
        *,
        media_type: MediaType | None = None,
        folder_name: str | None = None,
        usage: MediaUsage | None = None,
        purchased_by: UUID | str | None = None,
        status: Sequence[MediaStatus] = (),
        variants: Sequence[VariantType] = (),
        start: str | None = None,
        page_size: int = 50,
    ) -> Listing[Media]:
        """List the media. Scope: ``read:media``.

        Args:
            media_type: only these: ``image``, ``video``, ``audio`` or ``document``.
            folder_name: only those in this folder of the vault.
            usage: only those used for ``subscribers``, ``followers``, ``ppv`` or
                ``mass_messages``.
            purchased_by: a fan; whether the fan bought each is in ``purchased_by_fan``.
            status: only those in one of these states; default: the API's choice.
            variants: the forms to get an address for; without one, no form has an address.
            start: ``Page.next`` of an earlier page.
            page_size: media a page, 1 to 50.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            FanvueError: while listing: anything else; see :mod:`fanvue_async.errors`.

        Source: getUserMedia, https://api.fanvue.com/docs/api-reference

        """
        check = self._check(_LIST)
        query = {
            "mediaType": check.text("media_type", media_type, 1, 100),
            "folderName": check.text("folder_name", folder_name, 1, 255),
            "usage": check.text("usage", usage, 1, 100),
            "purchasedBy": check.uuid("purchased_by", purchased_by),
            "status": check.several("status", status),
            "variants": check.several("variants", variants),
        }
        return Listing(self._session, _LIST, query=query, start=start, page_size=page_size)


def _note(error: BaseException, begun: Sequence[str]) -> None:
    """Add the UUID of the media item to an error."""
    for media_uuid in begun:
        error.add_note(f"The upload was begun as the media item {media_uuid}.")


def _type_of(filename: str) -> MediaType:
    """Guess from its name what a file is."""
    match (mimetypes.guess_type(filename)[0] or "").partition("/")[0]:
        case "image" | "video" | "audio" as kind:
            return kind
        case _:
            return "document"


class MediaResource(CreatorMediaResource):
    """The media of the token's account, as ``client.media``."""

    async def get_many(
        self, media_uuids: Sequence[UUID | str], *, variants: Sequence[VariantType] = ()
    ) -> BulkMedia:
        """Read about several media in one call. Scope: ``read:media``.

        Args:
            media_uuids: 1 to 20 media.
            variants: the forms to get an address for; without one, no form has an address.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: getBulkMedia, https://api.fanvue.com/docs/api-reference

        """
        check = self._check(_GET_MANY)
        query = {
            "mediaUuids": check.uuids("media_uuids", media_uuids, 1, 20),
            "variants": check.several("variants", variants),
        }
        return await self._call(_GET_MANY, query=query)

    async def entitled(
        self,
        media_uuid: UUID | str,
        consumer_id: UUID | str,
        *,
        variants: Sequence[VariantType] = (),
    ) -> Media:
        """Read about a media item that a consumer was granted. Scope: ``read:media``.

        Args:
            media_uuid: the media item.
            consumer_id: whom it was granted to, by :meth:`grant`.
            variants: the forms to get an address for; without one, no form has an address.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            NotFoundError: there is no such media item, or it was not granted.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: getEntitledMedia, https://api.fanvue.com/docs/api-reference

        """
        check = self._check(_ENTITLED)
        query = {
            "consumerId": check.required_uuid("consumer_id", consumer_id),
            "variants": check.several("variants", variants),
        }
        return await self._call(_ENTITLED, media_uuid, query=query)

    async def grant(
        self, media_uuid: UUID | str, consumer_id: UUID | str, source: str, source_ref: str
    ) -> GrantedMedia:
        """Let a consumer see a media item. Scope: ``write:media``.

        The same ``source`` and ``source_ref`` give the same entitlement again, so it is repeated
        when its outcome is unknown.

        Args:
            media_uuid: the media item.
            consumer_id: who may see it.
            source: what grants it: 1 to 100 of ``a`` to ``z``, ``0`` to ``9`` and ``_``.
            source_ref: its reference there, 1 to 255 characters.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            NotFoundError: there is no such media item.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: grantMedia, https://api.fanvue.com/docs/api-reference

        """
        check = self._check(_GRANT)
        check.required_text("source", source, 100)
        if (
            not source.isascii()
            or not source.replace("_", "a").isalnum()
            or source.lower() != source
        ):
            raise check.refuse("source may hold a to z, 0 to 9 and _ only")
        json = {
            "consumerId": check.required_uuid("consumer_id", consumer_id),
            "source": source,
            "sourceRef": check.required_text("source_ref", source_ref, 255),
        }
        return await self._call(_GRANT, media_uuid, json=json)

    async def link_purchased(self, link_uuid: UUID | str) -> MediaLinkPurchase:
        """Read whether a media link was bought. Scope: ``read:media``.

        Args:
            link_uuid: the link.

        Raises:
            InvalidArgumentError: ``link_uuid`` is not a UUID; nothing was sent.
            NotFoundError: there is no such link.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: getMediaLinkPurchaseStatus, https://api.fanvue.com/docs/api-reference

        """
        return await self._call(_LINK_PURCHASED, link_uuid)

    async def update(
        self,
        media_uuid: UUID | str,
        *,
        name: str | EllipsisType = ...,
        caption: str | EllipsisType = ...,
        recommended_price: int | EllipsisType = ...,
    ) -> None:
        """Change what a media item is called and costs. Scope: ``write:media``.

        **Assumed**: seen in a public program, not in the API's documentation. What is left out
        stays as it is.

        Args:
            media_uuid: the media item.
            name: up to 255 characters.
            caption: up to 5,000 characters.
            recommended_price: US cents, 0 to 50,000.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        """
        check = self._check(_UPDATE)
        json = {
            "name": check.text("name", name, 0, 255),
            "caption": check.text("caption", caption, 0, 5_000),
            "recommendedPrice": ...
            if recommended_price is ...
            else check.whole("recommended_price", recommended_price, 0, _MAX_PRICE),
        }
        await self._call(_UPDATE, media_uuid, json=json)

    async def delete(self, media_uuid: UUID | str) -> None:
        """Delete a media item; copies that were sent stay. Scope: ``write:media``.

        **Assumed**: seen in a public program, not in the API's documentation.

        Args:
            media_uuid: the media item.

        Raises:
            InvalidArgumentError: ``media_uuid`` is not a UUID; nothing was sent.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        """
        await self._call(_DELETE, media_uuid)
