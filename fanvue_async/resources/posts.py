"""Posts: what an account publishes to its fans, with their comments, likes and tips."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from types import EllipsisType
from typing import Any, Literal
from uuid import UUID

import attrs

from fanvue_async.engine.models import ABSENT
from fanvue_async.engine.operation import Operation
from fanvue_async.engine.sends import Trace, send_once
from fanvue_async.errors import FanvueError
from fanvue_async.money import Cents
from fanvue_async.paging import PAGE_SIZE, Listing, Numbered
from fanvue_async.resources._resource import Resource
from fanvue_async.resources.users import FanUser, MiniUser

Audience = Literal["subscribers", "followers-and-subscribers"]


@attrs.frozen(kw_only=True)
class CreatedPost:
    """A post that the API accepted."""

    uuid: str
    created_at: datetime = ABSENT
    text: str | None = None
    price: Cents | None = None
    """US cents; None: free."""
    media_preview_uuid: str | None = None
    audience: str = ABSENT
    """``subscribers`` or ``followers-and-subscribers``."""
    publish_at: datetime | None = None
    """When it is to be published; None: immediately."""
    published_at: datetime | None = None
    """None: not yet."""
    expires_at: datetime | None = None
    """None: never."""


@attrs.frozen(kw_only=True)
class PostTips:
    """What a post was tipped."""

    count: int = ABSENT
    total_gross: Cents = ABSENT
    """US cents, before fees."""
    total_net: Cents = ABSENT
    """US cents, after fees."""


@attrs.frozen(kw_only=True)
class PostCollection:
    """A collection that a post is in."""

    uuid: str
    label: str = ABSENT


@attrs.frozen(kw_only=True)
class Post:
    """A post."""

    uuid: str
    created_at: datetime = ABSENT
    text: str | None = None
    price: Cents | None = None
    """US cents; None: free."""
    media_preview_uuid: str | None = None
    """What is shown to those who have not paid."""
    audience: str = ABSENT
    """``subscribers`` or ``followers-and-subscribers``."""
    publish_at: datetime | None = None
    """When it is to be published; None: it is not scheduled."""
    published_at: datetime | None = None
    """None: not yet."""
    expires_at: datetime | None = None
    """None: never."""
    media_uuids: tuple[str, ...] = ()
    is_pinned: bool = ABSENT
    likes_count: int = ABSENT
    comments_count: int = ABSENT
    tips: PostTips = ABSENT
    collections: tuple[PostCollection, ...] = ()


@attrs.frozen(kw_only=True)
class CreatedComment:
    """A comment that the API accepted."""

    uuid: str
    text: str = ABSENT
    created_at: datetime = ABSENT
    updated_at: datetime | None = None


@attrs.frozen(kw_only=True)
class PostComment:
    """A comment on a post."""

    uuid: str
    text: str = ABSENT
    user: MiniUser | None = None
    """None: the author was deleted."""
    created_at: datetime = ABSENT
    updated_at: datetime | None = None


@attrs.frozen(kw_only=True)
class PostLike:
    """A like of a post."""

    user: FanUser | None = None
    """None: the user was deleted."""
    created_at: datetime = ABSENT


@attrs.frozen(kw_only=True)
class PostTip:
    """A tip for a post."""

    user: FanUser | None = None
    """None: the user was deleted."""
    created_at: datetime | None = None
    gross: Cents = ABSENT
    """US cents, before fees."""
    net: Cents = ABSENT
    """US cents, after fees."""


_READ, _WRITE = ("read:post",), ("write:post",)
_WRITE_FOR_CREATOR = ("write:post", "write:creator")
_ARGUMENTS = {"uuid": "post_uuid"}

_LIST = Operation(
    "GET", "/posts", Numbered[Post], id="getPosts", creator_id="getCreatorPosts", scopes=_READ
)
_CREATE = Operation(
    "POST",
    "/posts",
    CreatedPost,
    id="createPost",
    creator_id="createCreatorPost",
    scopes=_WRITE,
    creator_scopes=_WRITE_FOR_CREATOR,
)
_UPDATE = Operation(
    "PATCH",
    "/posts/{uuid}",
    Post,
    id="updatePost",
    creator_id="updateCreatorPost",
    scopes=_WRITE,
    creator_scopes=_WRITE_FOR_CREATOR,
    idempotent=True,
    arguments=_ARGUMENTS,
)
_DELETE = Operation[None](
    "DELETE",
    "/posts/{uuid}",
    id="deletePost",
    creator_id="deleteCreatorPost",
    scopes=_WRITE,
    creator_scopes=_WRITE_FOR_CREATOR,
    arguments=_ARGUMENTS,
)
_PIN = Operation(
    "POST",
    "/posts/{uuid}/pin",
    Post,
    id="pinPost",
    creator_id="pinCreatorPost",
    scopes=_WRITE,
    creator_scopes=_WRITE_FOR_CREATOR,
    idempotent=True,
    arguments=_ARGUMENTS,
)
_UNPIN = Operation(
    "DELETE",
    "/posts/{uuid}/pin",
    Post,
    id="unpinPost",
    creator_id="unpinCreatorPost",
    scopes=_WRITE,
    creator_scopes=_WRITE_FOR_CREATOR,
    arguments=_ARGUMENTS,
)
_REPOST = Operation(
    "POST",
    "/posts/{uuid}/repost",
    Post,
    id="repostPost",
    creator_id="repostCreatorPost",
    scopes=_WRITE,
    creator_scopes=_WRITE_FOR_CREATOR,
    arguments=_ARGUMENTS,
)
_COMMENTS = Operation(
    "GET",
    "/posts/{uuid}/comments",
    Numbered[PostComment],
    id="getPostComments",
    creator_id="getCreatorPostComments",
    scopes=_READ,
    arguments=_ARGUMENTS,
)
_ADD_COMMENT = Operation(
    "POST",
    "/posts/{uuid}/comments",
    CreatedComment,
    id="createPostComment",
    creator_id="createCreatorPostComment",
    scopes=_WRITE,
    creator_scopes=_WRITE_FOR_CREATOR,
    arguments=_ARGUMENTS,
)
_DELETE_COMMENT = Operation[None](
    "DELETE",
    "/posts/{uuid}/comments/{commentUuid}",
    id="deletePostComment",
    creator_id="deleteCreatorPostComment",
    scopes=_WRITE,
    creator_scopes=_WRITE_FOR_CREATOR,
    arguments=_ARGUMENTS,
)
_GET = Operation(
    "GET", "/posts/{uuid}", Post, id="getPostByUuid", scopes=_READ, arguments=_ARGUMENTS
)
_LIKES = Operation(
    "GET",
    "/posts/{uuid}/likes",
    Numbered[PostLike],
    id="getPostLikes",
    scopes=_READ,
    arguments=_ARGUMENTS,
)
_TIPS = Operation(
    "GET",
    "/posts/{uuid}/tips",
    Numbered[PostTip],
    id="getPostTips",
    scopes=_READ,
    arguments=_ARGUMENTS,
)


class CreatorPostsResource(Resource):
    """The posts of a creator, as ``client.creator(uuid).posts``."""

    async def create(  # noqa: PLR0913 - what a post can hold, each by keyword
        self,
        audience: Audience,
        *,
        text: str | None = None,
        media_uuids: Sequence[UUID | str] = (),
        media_preview_uuid: UUID | str | None = None,
        price: int | None = None,
        publish_at: datetime | None = None,
        expires_at: datetime | None = None,
        collection_uuids: Sequence[UUID | str] = (),
        confirm: bool = True,
    ) -> CreatedPost:
        """Publish a post, now or later, at most once. Scope: ``write:post``.

        Only what provably never left is sent again. When the response is lost and time is left,
        the posts are read and the new one looked for: its text, media, price, audience and time.
        If exactly one matches, it is returned as if the response had come. A scheduled post that
        is not found may be further down: where it sorts is not documented.

        Args:
            audience: ``subscribers`` or ``followers-and-subscribers``.
            text: up to 5,000 characters.
            media_uuids: of the account's own media.
            media_preview_uuid: what is shown to those who have not paid.
            price: US cents to unlock the media, at least 300; needs ``media_uuids``.
            publish_at: when to publish it; None publishes immediately.
            expires_at: when it disappears; None: never.
            collection_uuids: the collections that it goes into.
            confirm: whether to look for it. Needs ``read:post`` as well; without that scope, the
                outcome stays unknown.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            FanvueError: anything else. If ``maybe_processed``, it may have been created; if
                ``looked_for`` too, it was not among the posts, though it may still appear. Of a
                scheduled post, ``looked_for`` is never True.

        Source: createPost, https://api.fanvue.com/docs/api-reference

        """
        check = self._check(_CREATE)
        json = {
            "audience": check.required_text("audience", audience),
            "text": _or_left_out(check.text("text", text, 0, 5_000)),
            "mediaUuids": check.uuids("media_uuids", media_uuids) or ...,
            "mediaPreviewUuid": check.uuid("media_preview_uuid", media_preview_uuid) or ...,
            "price": _or_left_out(check.price(price)),
            "publishAt": _or_left_out(check.moment("publish_at", publish_at)),
            "expiresAt": _or_left_out(check.moment("expires_at", expires_at)),
            "collectionUuids": check.uuids("collection_uuids", collection_uuids) or ...,
        }
        if price is not None and json["mediaUuids"] is ...:
            raise check.refuse("price needs media_uuids: text alone can't be sold")
        creator = self._session.creator
        request = _CREATE.bind(json=json, creator=creator)
        try:
            return await send_once(self._session, request, _trace(json, creator), confirm=confirm)
        except FanvueError as error:
            if publish_at is not None:
                error.looked_for = False
            raise

    async def update(  # noqa: PLR0913 - what a post can hold, each by keyword
        self,
        post_uuid: UUID | str,
        *,
        audience: Audience | EllipsisType = ...,
        text: str | EllipsisType | None = ...,
        media_uuids: Sequence[UUID | str] | EllipsisType = ...,
        media_preview_uuid: UUID | str | EllipsisType | None = ...,
        price: int | EllipsisType | None = ...,
        publish_at: datetime | EllipsisType | None = ...,
        expires_at: datetime | EllipsisType | None = ...,
        collection_uuids: Sequence[UUID | str] | EllipsisType | None = ...,
    ) -> Post:
        """Change a post. Scope: ``write:post``.

        What is left out stays as it is; None removes. Lists replace those that are there.

        Args:
            post_uuid: the post.
            audience: ``subscribers`` or ``followers-and-subscribers``.
            text: up to 5,000 characters; None removes it.
            media_uuids: all media that it is to have.
            media_preview_uuid: what is shown to those who have not paid; None removes it.
            price: US cents, at least 300; None makes the post free.
            publish_at: when to publish it; **None publishes a scheduled post immediately**.
            expires_at: when it disappears; None: never.
            collection_uuids: all collections that it is to be in; None takes it out of all.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            NotFoundError: there is no such post.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: updatePost, https://api.fanvue.com/docs/api-reference

        """
        check = self._check(_UPDATE)
        json = {
            "audience": audience if audience is ... else check.required_text("audience", audience),
            "text": check.text("text", text, 0, 5_000),
            "mediaUuids": media_uuids
            if media_uuids is ...
            else check.uuids("media_uuids", media_uuids),
            "mediaPreviewUuid": media_preview_uuid
            if media_preview_uuid is ...
            else check.uuid("media_preview_uuid", media_preview_uuid),
            "price": check.price(price),
            "publishAt": check.moment("publish_at", publish_at),
            "expiresAt": check.moment("expires_at", expires_at),
            "collectionUuids": collection_uuids
            if collection_uuids is None or collection_uuids is ...
            else check.uuids("collection_uuids", collection_uuids),
        }
        return await self._call(_UPDATE, post_uuid, json=json)

    async def delete(self, post_uuid: UUID | str) -> None:
        """Delete a post. Scope: ``write:post``.

        Args:
            post_uuid: the post.

        Raises:
            InvalidArgumentError: ``post_uuid`` is not a UUID; nothing was sent.
            NotFoundError: there is no such post.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: deletePost, https://api.fanvue.com/docs/api-reference

        """
        await self._call(_DELETE, post_uuid)

    async def pin(self, post_uuid: UUID | str) -> Post:
        """Pin a post to the top of the profile. Scope: ``write:post``.

        Args:
            post_uuid: the post.

        Raises:
            InvalidArgumentError: ``post_uuid`` is not a UUID; nothing was sent.
            NotFoundError: there is no such post.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: pinPost, https://api.fanvue.com/docs/api-reference

        """
        return await self._call(_PIN, post_uuid)

    async def unpin(self, post_uuid: UUID | str) -> Post:
        """Take a post from the top of the profile. Scope: ``write:post``.

        Args:
            post_uuid: the post.

        Raises:
            InvalidArgumentError: ``post_uuid`` is not a UUID; nothing was sent.
            NotFoundError: there is no such post.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: unpinPost, https://api.fanvue.com/docs/api-reference

        """
        return await self._call(_UNPIN, post_uuid)

    async def repost(self, post_uuid: UUID | str) -> Post:
        """Publish a post again, as if it were new. Scope: ``write:post``.

        It is the same post with a new ``published_at``.

        Args:
            post_uuid: the post.

        Raises:
            InvalidArgumentError: ``post_uuid`` is not a UUID; nothing was sent.
            NotFoundError: there is no such post.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: repostPost, https://api.fanvue.com/docs/api-reference

        """
        return await self._call(_REPOST, post_uuid)

    def comments(
        self, post_uuid: UUID | str, *, start: str | None = None, page_size: int = 50
    ) -> Listing[PostComment]:
        """List the comments on a post of the account. Scope: ``read:post``.

        Args:
            post_uuid: the post.
            start: ``Page.next`` of an earlier page.
            page_size: comments a page, 1 to 50.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            NotFoundError: while listing: there is no such post.
            FanvueError: while listing: anything else; see :mod:`fanvue_async.errors`.

        Source: getPostComments, https://api.fanvue.com/docs/api-reference

        """
        return Listing(self._session, _COMMENTS, post_uuid, start=start, page_size=page_size)

    async def add_comment(self, post_uuid: UUID | str, text: str) -> CreatedComment:
        """Comment on a post of the account. Scope: ``write:post``.

        Args:
            post_uuid: the post.
            text: 1 to 600 characters.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            NotFoundError: there is no such post.
            FanvueError: anything else. If ``maybe_processed``, the comment may be there.

        Source: createPostComment, https://api.fanvue.com/docs/api-reference

        """
        json = {"text": self._check(_ADD_COMMENT).required_text("text", text, 600)}
        return await self._call(_ADD_COMMENT, post_uuid, json=json)

    async def delete_comment(self, post_uuid: UUID | str, comment_uuid: UUID | str) -> None:
        """Delete a comment, by its author or by the owner of the post. Scope: ``write:post``.

        Args:
            post_uuid: the post.
            comment_uuid: the comment.

        Raises:
            InvalidArgumentError: an argument is not a UUID; nothing was sent.
            NotFoundError: there is no such post or comment.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: deletePostComment, https://api.fanvue.com/docs/api-reference

        """
        await self._call(_DELETE_COMMENT, post_uuid, comment_uuid)

    def list(
        self, *, include_unpublished: bool = True, start: str | None = None, page_size: int = 50
    ) -> Listing[Post]:
        """List the posts: pinned ones first, then the newest. Scope: ``read:post``.

        Args:
            include_unpublished: whether drafts and scheduled posts are listed.
            start: ``Page.next`` of an earlier page.
            page_size: posts a page, 1 to 50.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            FanvueError: while listing: anything else; see :mod:`fanvue_async.errors`.

        Source: getPosts, https://api.fanvue.com/docs/api-reference

        """
        check = self._check(_LIST)
        query = {"includeUnpublished": check.flag("include_unpublished", include_unpublished)}
        return Listing(self._session, _LIST, query=query, start=start, page_size=page_size)


class PostsResource(CreatorPostsResource):
    """The posts of the token's account, as ``client.posts``."""

    async def get(self, post_uuid: UUID | str) -> Post:
        """Read a post. Scope: ``read:post``.

        Args:
            post_uuid: the post.

        Raises:
            InvalidArgumentError: ``post_uuid`` is not a UUID; nothing was sent.
            NotFoundError: there is no such post.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: getPostByUuid, https://api.fanvue.com/docs/api-reference

        """
        return await self._call(_GET, post_uuid)

    def likes(
        self, post_uuid: UUID | str, *, start: str | None = None, page_size: int = 50
    ) -> Listing[PostLike]:
        """List the likes of a post. Scope: ``read:post``.

        Args:
            post_uuid: the post.
            start: ``Page.next`` of an earlier page.
            page_size: likes a page, 1 to 50.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            NotFoundError: while listing: there is no such post.
            FanvueError: while listing: anything else; see :mod:`fanvue_async.errors`.

        Source: getPostLikes, https://api.fanvue.com/docs/api-reference

        """
        return Listing(self._session, _LIKES, post_uuid, start=start, page_size=page_size, key=())

    def tips(
        self, post_uuid: UUID | str, *, start: str | None = None, page_size: int = 50
    ) -> Listing[PostTip]:
        """List the tips for a post of the account. Scope: ``read:post``.

        Args:
            post_uuid: the post.
            start: ``Page.next`` of an earlier page.
            page_size: tips a page, 1 to 50.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            NotFoundError: while listing: there is no such post.
            FanvueError: while listing: anything else; see :mod:`fanvue_async.errors`.

        Source: getPostTips, https://api.fanvue.com/docs/api-reference

        """
        return Listing(self._session, _TIPS, post_uuid, start=start, page_size=page_size, key=())


def _or_left_out(value: Any) -> Any:
    """Leave out what is None: only a change to a post knows null."""
    return ... if value is None else value


def _trace(json: dict[str, Any], creator: str | None) -> Trace[CreatedPost]:
    """Describe how a post that was just created looks in the list of posts."""
    given = {name: None if value is ... else value for name, value in json.items()}
    content = (
        (given["text"] or "").strip(),
        frozenset(given["mediaUuids"] or ()),
        given["price"],
        given["audience"],
    )

    def matches(post: Post) -> bool:
        text = (post.text or "").strip()
        return content == (text, frozenset(post.media_uuids), post.price, post.audience)

    return Trace(
        place=("posts", creator),
        content=content,
        page=lambda number: _LIST.bind(query={"page": number, "size": PAGE_SIZE}, creator=creator),
        matches=matches,
        sent_at=lambda post: post.created_at,
        result=_as_created,
        identity=lambda created: created.uuid,
    )


def _as_created(post: Post) -> CreatedPost:
    """Make of a post what the response to its creation would have been."""
    fields = (field.name for field in attrs.fields(CreatedPost))
    return CreatedPost(**{name: getattr(post, name) for name in fields})
