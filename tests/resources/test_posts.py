"""Posts are created once, or the caller knows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from support.users import user

from fanvue_async import FanvueClient, NoAnswerError

if TYPE_CHECKING:
    from fanvue_async.testing import FakeFanvue

MEDIA = user(5)
LATER = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("publish_at", [None, LATER])
async def test_a_post_whose_response_was_lost_is_found(
    client: FanvueClient, fake: FakeFanvue, publish_at: datetime | None
) -> None:
    """The posts are read, and the one that matches is what the response would have been."""
    fake.media.add(MEDIA)
    fake.drop(after="headers", on="POST /posts")
    created = await client.posts.create(
        "subscribers", text="Tonight", media_uuids=[MEDIA], price=999, publish_at=publish_at
    )

    (post,) = await client.posts.list().collect()
    assert (created.uuid, created.text, created.price) == (post.uuid, "Tonight", 999)
    assert [request.method for request in fake.requests] == ["POST", "GET", "GET"]


@pytest.mark.parametrize(("publish_at", "looked_for"), [(None, True), (LATER, False)])
async def test_a_post_that_did_not_arrive_is_unknown(
    client: FanvueClient, fake: FakeFanvue, publish_at: datetime | None, *, looked_for: bool
) -> None:
    """It is not sent again. Where a scheduled one would be listed is not documented."""
    fake.drop(after="request", on="POST /posts")
    with pytest.raises(NoAnswerError) as caught:
        await client.posts.create("subscribers", text="Tonight", publish_at=publish_at)

    assert caught.value.maybe_processed
    assert caught.value.looked_for is looked_for
    assert [request.method for request in fake.requests] == ["POST", "GET"]


async def test_another_post_is_not_taken_for_it(client: FanvueClient, fake: FakeFanvue) -> None:
    """An equal post that this client created before is not the one that was lost."""
    first = await client.posts.create("subscribers", text="Tonight")
    fake.drop(after="request", on="POST /posts")
    with pytest.raises(NoAnswerError) as caught:
        await client.posts.create("subscribers", text="Tonight")

    assert caught.value.maybe_processed
    assert [post.uuid async for post in client.posts.list()] == [first.uuid]


async def test_none_and_left_out_are_two_things(client: FanvueClient, fake: FakeFanvue) -> None:
    """None reaches the API as null, where it publishes, frees and removes; the rest is not sent."""
    created = await client.posts.create("subscribers", text="Soon", publish_at=LATER)
    await client.posts.update(created.uuid, publish_at=None, collection_uuids=None)

    assert fake.requests[-1].json() == {"publishAt": None, "collectionUuids": None}
