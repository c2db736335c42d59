"""Tracking links, and who came by them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import attrs

from fanvue_async.testing.exchange import cursor_page, look_up, missing
from fanvue_async.testing.routes import Access, Call, Route, Routes
from fanvue_async.testing.users import Row, new_uuid, uuid_of
from fanvue_async.testing.values import Parameter, body, moment, number, one_of, text

if TYPE_CHECKING:
    from fanvue_async.testing.fans import Fans

PLATFORMS = (
    *("facebook", "instagram", "other", "reddit"),
    *("snapchat", "tiktok", "twitter", "youtube"),
)
_STATES = {"subscriber": "subscriber", "expired": "expired", "follower": "follower"}


@attrs.define
class _Link:
    row: Row
    users: dict[str, Row | None] = attrs.field(factory=dict[str, Row | None])
    """The metadata of each user, newest last."""


class TrackingLinks:
    """As ``fake.tracking_links``."""

    def __init__(self, fans: Fans) -> None:
        self._fans = fans
        self._links: dict[str, _Link] = {}

    def add(self, name: str, platform: str = "other") -> str:
        """Make a link. Returns its UUID."""
        uuid = new_uuid()
        counted = (
            *("acquiredSubscribers", "acquiredFollowers"),
            *("totalSubscribers", "totalFollowers"),
        )
        self._links[uuid] = _Link(
            {
                "uuid": uuid,
                "name": name,
                "linkUrl": f"https://www.fanvue.com/me/fv-{uuid[:8]}",
                "externalSocialPlatform": platform,
                "createdAt": self._fans.owner.world.moment(),
                "clicks": 0,
                "engagement": dict.fromkeys(counted, 0),
                "earnings": None,
            }
        )
        return uuid

    def row(self, link: UUID | str) -> Row:
        """Return a link as the API shows it, to be changed by a test: clicks, earnings."""
        return self._links[uuid_of(link)].row

    def add_user(
        self, link: UUID | str, user: UUID | str, metadata: Mapping[str, str] | None = None
    ) -> None:
        """Let a user come by a link."""
        found = self._links[uuid_of(link)]
        found.users[uuid_of(user)] = None if metadata is None else dict(metadata)
        found.row["clicks"] += 1

    def _find(self, call: Call) -> _Link:
        return look_up(self._links, call.path["uuid"], "Tracking link")

    def page(self, call: Call) -> Any:
        """GET /tracking-links, newest first."""
        after, before = call.query["createdAfter"], call.query["createdBefore"]
        rows = [
            link.row
            for link in reversed(self._links.values())
            if (after is None or datetime.fromisoformat(link.row["createdAt"]) > after)
            and (before is None or datetime.fromisoformat(link.row["createdAt"]) < before)
        ]
        return cursor_page(rows, call.query, "limit")

    def create(self, call: Call) -> Any:
        """POST /tracking-links."""
        made = self.add(call.body["name"], call.body["externalSocialPlatform"])
        return self._links[made].row

    def delete(self, call: Call) -> None:
        """DELETE /tracking-links/{uuid}, which declares no 404."""
        self._links.pop(call.path["uuid"], None)

    def users(self, call: Call) -> Any:
        """GET /tracking-links/{uuid}/users, newest first."""
        rows = [
            {**self._fans.row(user), "status": _STATES.get(self._fans.status(user) or "")}
            for user in reversed(self._find(call).users)
        ]
        return cursor_page(rows, call.query, "limit")

    def metadata(self, call: Call) -> Any:
        """GET /tracking-links/{uuid}/users/{userUuid}/metadata."""
        users = self._find(call).users
        if call.path["userUuid"] not in users:
            raise missing("User")
        return {"metadata": users[call.path["userUuid"]]}


_USERS = {"limit": Parameter(number(1), 20), "cursor": Parameter(text())}
_PAGE = {**_USERS, "createdAfter": Parameter(moment), "createdBefore": Parameter(moment)}
_CREATE = body({"name": text(1), "externalSocialPlatform": one_of(*PLATFORMS)})
_READ = Access("read:tracking_links", "read:creator")
_WRITE = Access("write:tracking_links", "write:creator")
_ALL, _ONE = "/tracking-links", "/tracking-links/{uuid}"
_METADATA = f"{_ONE}/users/{{userUuid}}/metadata"

TRACKING_LINKS: Routes = (
    TrackingLinks,
    (
        Route("GET", _ALL, TrackingLinks.page, _READ, query=_PAGE),
        Route("POST", _ALL, TrackingLinks.create, _WRITE, status=201, body=_CREATE),
        Route("DELETE", _ONE, TrackingLinks.delete, _WRITE, status=204),
        Route("GET", f"{_ONE}/users", TrackingLinks.users, _READ, errors="UVI", query=_USERS),
        Route("GET", _METADATA, TrackingLinks.metadata, _READ, errors="UVI"),
    ),
)
