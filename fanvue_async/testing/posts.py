"""Posts of an account."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

import attrs

from fanvue_async.testing.exchange import look_up, page
from fanvue_async.testing.routes import Access, Call, Route, Routes
from fanvue_async.testing.users import Row, new_uuid, uuid_of
from fanvue_async.testing.values import (
    PAGE,
    Parameter,
    body,
    cents,
    flag,
    list_of,
    moment,
    nullable,
    one_of,
    text,
)
from fanvue_async.testing.values import uuid as a_uuid
from fanvue_async.testing.world import written

if TYPE_CHECKING:
    from fanvue_async.testing.post_collections import Collections
    from fanvue_async.testing.world import Owner

Audience = Literal["subscribers", "followers-and-subscribers"]

_CREATED = (
    *("uuid", "createdAt", "text", "price", "mediaPreviewUuid", "audience"),
    *("publishAt", "publishedAt", "expiresAt"),
)


@attrs.define
class Post:
    """A post, and what people made of it; newest first."""

    row: Row
    collections: list[str]
    comments: list[Row] = attrs.field(factory=list[Row])
    likes: list[Row] = attrs.field(factory=list[Row])
    tips: list[Row] = attrs.field(factory=list[Row])
    turn: int = 0


class Posts:
    """As ``fake.posts``."""

    def __init__(self, owner: Owner, collections: Collections) -> None:
        self.owner = owner
        self._collections = collections
        self._posts: dict[str, Post] = {}
        self._turn = 0

    def add(
        self,
        text: str | None = None,
        *,
        audience: Audience = "subscribers",
        media_uuids: Iterable[UUID | str] = (),
        price: int | None = None,
    ) -> str:
        """Publish a post; the price is in US cents. Returns its UUID."""
        media = [uuid_of(each) for each in media_uuids]
        given = {"text": text, "audience": audience, "mediaUuids": media, "price": price}
        return str(self._add(given).row["uuid"])

    def _add(self, given: Mapping[str, Any]) -> Post:
        row: Row = {
            "uuid": new_uuid(),
            "createdAt": self.owner.world.moment(),
            **dict.fromkeys(("text", "price", "mediaPreviewUuid"), None),
            "audience": "subscribers",
            **dict.fromkeys(("publishAt", "publishedAt", "expiresAt"), None),
            "mediaUuids": [],
            "isPinned": False,
        }
        post = Post(row, [])
        self._change(post, {"publishAt": None, **given})
        self._posts[row["uuid"]] = post
        return post

    def _change(self, post: Post, given: Mapping[str, Any]) -> None:
        changes = dict(given)
        if "collectionUuids" in changes:
            post.collections = changes.pop("collectionUuids") or []
        for name in ("publishAt", "expiresAt"):
            if changes.get(name) is not None:
                changes[name] = written(changes[name])
        post.row.update(changes)
        if "publishAt" in changes:
            post.row["publishedAt"] = None
        self._publish(post)

    def _publish(self, post: Post) -> None:
        """Publish what is due; null publishes immediately."""
        at = post.row["publishAt"]
        is_due = at is None or datetime.fromisoformat(at).timestamp() <= self.owner.world.now()
        if post.row["publishedAt"] is None and is_due:
            post.row["publishedAt"] = at or self.owner.world.moment()
        if post.row["publishedAt"] is None or not post.turn:
            self._turn += 1
            post.turn = self._turn

    def find(self, uuid: UUID | str) -> Post:
        """Return a post.

        Raises:
            RefusedError: there is no such post (404).

        """
        return look_up(self._posts, uuid_of(uuid), "Post")

    def show(self, post: Post) -> Row:
        """Return a post as the API shows it."""
        self._publish(post)
        gross, net = (sum(tip[kind] for tip in post.tips) for kind in ("gross", "net"))
        return {
            **post.row,
            "likesCount": len(post.likes),
            "commentsCount": len(post.comments),
            "tips": {"count": len(post.tips), "totalGross": gross, "totalNet": net},
            "collections": self._collections.labels(post.collections),
        }

    def page(self, call: Call) -> Any:
        """GET /posts: pinned first, then newest."""
        with_all = call.query["includeUnpublished"]
        rows = [(post, self.show(post)) for post in self._posts.values()]
        rows.sort(key=lambda each: (each[1]["isPinned"], each[0].turn), reverse=True)
        return page([row for _, row in rows if with_all or row["publishedAt"]], call.query)

    def create(self, call: Call) -> Any:
        """POST /posts."""
        row = self._add(call.body).row
        return {name: row[name] for name in _CREATED}

    def one(self, call: Call) -> Any:
        """GET /posts/{uuid}."""
        return self.show(self.find(call.path["uuid"]))

    def update(self, call: Call) -> Any:
        """PATCH /posts/{uuid}: null removes, and publishes immediately."""
        post = self.find(call.path["uuid"])
        self._change(post, call.body)
        return self.show(post)

    def delete(self, call: Call) -> None:
        """DELETE /posts/{uuid}."""
        del self._posts[self.find(call.path["uuid"]).row["uuid"]]

    def pin(self, call: Call) -> Any:
        """POST and DELETE /posts/{uuid}/pin."""
        post = self.find(call.path["uuid"])
        post.row["isPinned"] = call.request.method == "POST"
        return self.show(post)

    def repost(self, call: Call) -> Any:
        """POST /posts/{uuid}/repost: the same post, published anew."""
        post = self.find(call.path["uuid"])
        post.row["publishedAt"] = self.owner.world.moment()
        self._turn += 1
        post.turn = self._turn
        return self.show(post)


_AUDIENCE = one_of("subscribers", "followers-and-subscribers")
_CREATE = body(
    {"audience": _AUDIENCE},
    text=text(0, 5000),
    mediaUuids=list_of(a_uuid),
    mediaPreviewUuid=a_uuid,
    price=cents,
    publishAt=moment,
    expiresAt=moment,
    collectionUuids=list_of(a_uuid),
)
_UPDATE = body(
    audience=_AUDIENCE,
    text=nullable(text(0, 5000)),
    mediaUuids=list_of(a_uuid),
    mediaPreviewUuid=nullable(a_uuid),
    price=nullable(cents),
    publishAt=nullable(moment),
    expiresAt=nullable(moment),
    collectionUuids=nullable(list_of(a_uuid)),
)
_PAGE = {**PAGE, "includeUnpublished": Parameter(flag, default=True)}
_READ = Access("read:post", "read:creator")
_WRITE = Access("write:post", "write:creator")
_ONE = "/posts/{uuid}"

POSTS: Routes = (
    Posts,
    (
        Route("GET", "/posts", Posts.page, _READ, errors="V", query=_PAGE),
        Route("POST", "/posts", Posts.create, _WRITE, status=201, errors="V", body=_CREATE),
        Route("GET", _ONE, Posts.one, Access("read:post"), errors="UVI"),
        Route("PATCH", _ONE, Posts.update, _WRITE, errors="UVI", body=_UPDATE),
        Route("DELETE", _ONE, Posts.delete, _WRITE, errors="UVI", status=204),
        Route("POST", f"{_ONE}/pin", Posts.pin, _WRITE, errors="UVI"),
        Route("DELETE", f"{_ONE}/pin", Posts.pin, _WRITE, errors="UVI"),
        Route("POST", f"{_ONE}/repost", Posts.repost, _WRITE, errors="UVI"),
    ),
)
