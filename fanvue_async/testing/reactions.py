"""What people make of posts: comments, likes, tips."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from fanvue_async.testing.exchange import missing, page
from fanvue_async.testing.fans import MINI
from fanvue_async.testing.routes import Access, Call, Route, Routes
from fanvue_async.testing.users import Row, new_uuid, uuid_of
from fanvue_async.testing.values import PAGE, body
from fanvue_async.testing.values import text as a_text

if TYPE_CHECKING:
    from fanvue_async.testing.fans import Fans
    from fanvue_async.testing.insights import Insights
    from fanvue_async.testing.posts import Posts


class Reactions:
    """As ``fake.reactions``: users comment, like and tip."""

    def __init__(self, posts: Posts, fans: Fans, insights: Insights) -> None:
        self._posts = posts
        self._fans = fans
        self._insights = insights

    def comment(self, post: UUID | str, user: UUID | str, text: str) -> str:
        """Let a user comment on a post. Returns the comment's UUID."""
        fan = self._fans.row(uuid_of(user))
        comment = self._add(post, text, {name: fan[name] for name in MINI})
        self._posts.owner.tell("post.commented", {"user": fan, "comment": comment})
        return str(comment["uuid"])

    def like(self, post: UUID | str, user: UUID | str) -> None:
        """Let a user like a post."""
        now = self._posts.owner.world.moment()
        like = {"user": self._fans.row(uuid_of(user)), "createdAt": now}
        self._posts.find(post).likes.insert(0, like)

    def tip(self, post: UUID | str, user: UUID | str, amount: int) -> None:
        """Let a user tip for a post; ``amount`` is in US cents."""
        fan, found = uuid_of(user), self._posts.find(post)
        earned = self._insights.earn("tip", amount, fan, post=found.row["uuid"])
        self._fans[fan].tipped += amount
        tip = {"user": self._fans.row(fan), "createdAt": earned["date"]}
        found.tips.insert(0, {**tip, "gross": earned["gross"], "net": earned["net"]})

    def buy(self, post: UUID | str, user: UUID | str) -> None:
        """Let a user pay for a post that has a price.

        Raises:
            ValueError: it has no price.

        """
        row = self._posts.find(post).row
        if row["price"] is None:
            raise ValueError("the post has no price")
        self._insights.earn("post", row["price"], uuid_of(user), post=row["uuid"])

    def _add(self, post: UUID | str, text: str, user: Row | None) -> Row:
        comment: Row = {
            "uuid": new_uuid(),
            "text": text,
            "user": user,
            "createdAt": self._posts.owner.world.moment(),
            "updatedAt": None,
        }
        self._posts.find(post).comments.insert(0, comment)
        return comment

    def comments(self, call: Call) -> Any:
        """GET /posts/{uuid}/comments."""
        return page(self._posts.find(call.path["uuid"]).comments, call.query)

    def likes(self, call: Call) -> Any:
        """GET /posts/{uuid}/likes."""
        return page(self._posts.find(call.path["uuid"]).likes, call.query)

    def tips(self, call: Call) -> Any:
        """GET /posts/{uuid}/tips."""
        return page(self._posts.find(call.path["uuid"]).tips, call.query)

    def add_comment(self, call: Call) -> Any:
        """POST /posts/{uuid}/comments, by the account itself."""
        me = self._posts.owner.world.users[self._posts.owner.uuid]
        user = {name: me[name] for name in MINI}
        comment = self._add(call.path["uuid"], call.body["text"], user)
        return {name: value for name, value in comment.items() if name != "user"}

    def delete_comment(self, call: Call) -> None:
        """DELETE /posts/{uuid}/comments/{commentUuid}."""
        comments = self._posts.find(call.path["uuid"]).comments
        kept = [each for each in comments if each["uuid"] != call.path["commentUuid"]]
        if len(kept) == len(comments):
            raise missing("Comment")
        comments[:] = kept


_TEXT = body({"text": a_text(1, 600)})
_READ = Access("read:post", "read:creator")
_WRITE = Access("write:post", "write:creator")
_READ_OWN = Access("read:post")
_ALL, _ONE = "/posts/{uuid}/comments", "/posts/{uuid}/comments/{commentUuid}"

REACTIONS: Routes = (
    Reactions,
    (
        Route("GET", _ALL, Reactions.comments, _READ, errors="UVI", query=PAGE),
        Route("POST", _ALL, Reactions.add_comment, _WRITE, errors="UVI", status=201, body=_TEXT),
        Route("DELETE", _ONE, Reactions.delete_comment, _WRITE, errors="UVI", status=204),
        Route("GET", "/posts/{uuid}/likes", Reactions.likes, _READ_OWN, errors="UVI", query=PAGE),
        Route("GET", "/posts/{uuid}/tips", Reactions.tips, _READ_OWN, errors="UVI", query=PAGE),
    ),
)
