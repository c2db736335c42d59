"""What is refused before anything is sent, each with a sentence that helps."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
import uuid_utils
from support.users import USER, user

from fanvue_async import Cents, FanvueClient, InvalidArgumentError, ListSelection, NotFoundError
from fanvue_async.paging import Listing

if TYPE_CHECKING:
    from collections.abc import Callable

    from fanvue_async.testing import FakeFanvue

_NOW = datetime.now(UTC)
_NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001 - that is the point
_DAY = datetime(2026, 1, 1, tzinfo=UTC)
_FAR = datetime(2027, 1, 2, tzinfo=UTC)
_LISTS = ListSelection(smart_list_uuids=["subscribers"])
_PRICE = r"price is in US cents, at least 300 \(\$3\.00\)"
_UUID = "must be a uuid.UUID or its text"

# `Any`, for a type checker would refuse most of them.
_REFUSED: list[tuple[Callable[[Any], Any], str]] = [
    (lambda c: c.messages.send(USER, text=""), "text must have 1 to 5,000 characters, not 0"),
    (lambda c: c.messages.send(USER, text="x" * 5_001), "text must have .* not 5,001"),
    (lambda c: c.messages.send(USER, text=5), "text must be a str, not a int"),
    (lambda c: c.messages.send(USER), "needs text, media_uuids or template_uuid"),
    (lambda c: c.messages.send(USER, text="half \ud83d"), "text contains a lone surrogate"),
    (lambda c: c.messages.send(USER, media_uuids=[USER], price=299), _PRICE),
    (lambda c: c.messages.send(USER, media_uuids=[USER], price=-300), _PRICE),
    (lambda c: c.messages.send(USER, media_uuids=[USER], price=True), _PRICE),
    (lambda c: c.messages.send(USER, media_uuids=[USER], price="300"), _PRICE),
    (lambda c: c.messages.send(USER, media_uuids=[USER], price=9.99), r"\$9\.99 is 999"),
    (lambda c: c.messages.send(USER, text="Hi", price=300), "price needs media_uuids"),
    (lambda c: c.messages.send(USER, media_uuids=USER), "media_uuids must be a list, not a str"),
    (lambda c: c.messages.send(USER, media_uuids=5), "media_uuids must be a list, not a int"),
    (lambda c: c.messages.send(USER, media_uuids=["x"]), f"each of media_uuids {_UUID}"),
    (lambda c: c.messages.send("anna", text="Hi"), f"user_uuid {_UUID}"),
    (lambda c: c.messages.send(USER, template_uuid=""), f"template_uuid {_UUID}"),
    (lambda c: c.messages.list("anna"), f"user_uuid {_UUID}"),
    (lambda c: c.messages.list(USER, mark_as_read="no"), "mark_as_read must be True or False"),
    (lambda c: c.messages.list(USER, page_size=51), "page_size must be an int, 1 to 50"),
    (
        lambda c: c.messages.media(USER, USER, [user(n) for n in range(21)]),
        "at most 20 UUIDs, not 21",
    ),
    (lambda c: c.messages.media(USER, USER, []), "media_uuids must have at least 1"),
    (lambda c: c.messages.media(USER, USER, [USER], variants="main"), "variants must be a list"),
    (lambda c: c.messages.batch([user(n) for n in range(51)]), "at most 50 UUIDs, not 51"),
    (lambda c: c.messages.batch([USER], limit=51), "limit must be an int, 1 to 50"),
    (lambda c: c.messages.batch([USER], limit=True), "limit must be an int, 1 to 50"),
    (lambda c: c.messages.delete(USER, None), f"message_uuid {_UUID}"),
    (lambda c: c.chats.statuses([user(n) for n in range(101)]), "at most 100 UUIDs, not 101"),
    (lambda c: c.chats.statuses([]), "user_uuids must have at least 1"),
    (lambda c: c.chats.list(filter="unread"), "filter must be a list, not a str"),
    (lambda c: c.chats.list(filter=None), "filter must be a list, not a NoneType"),
    (lambda c: c.chats.list(search="x" * 101), "search must have 0 to 100 characters"),
    (lambda c: c.chats.list(custom_list_id="x"), f"custom_list_id {_UUID}"),
    (lambda c: c.chats.list(smart_list_ids="muted"), "smart_list_ids must be a list"),
    (lambda c: c.chats.update(USER, nickname="x" * 31), "nickname must have 0 to 30"),
    (lambda c: c.chats.update(USER, is_read=1), "is_read must be True or False, not a int"),
    (lambda c: c.chats.typing(USER, is_typing=None), "is_typing must be True or False"),
    (lambda c: c.custom_lists.create(""), "name must have 1 to 100 characters, not 0"),
    (lambda c: c.custom_lists.rename(USER, "x" * 101), "name must have 1 to 100"),
    (lambda c: c.custom_lists.create(None), "name must be a str, not a NoneType"),
    (lambda c: c.custom_lists.add_members(USER, []), "user_uuids must have at least 1"),
    (lambda c: c.custom_lists.members("subscribers"), f"list_uuid {_UUID}"),
    (lambda c: c.smart_lists.members(""), "list_id must be a str of 1 to 255"),
    (lambda c: c.mass_messages.send(["subscribers"]), "included_lists must be a ListSelection"),
    (lambda c: c.mass_messages.send(ListSelection()), "included_lists must name a list"),
    (lambda c: c.mass_messages.send(_LISTS, text=""), "text must have 1 to 5,000"),
    (lambda c: c.mass_messages.send(_LISTS, text="Hi", price=300), "price needs media_uuids"),
    (lambda c: c.mass_messages.send(_LISTS, scheduled_at=_NAIVE), "scheduled_at needs a time zone"),
    (lambda c: c.mass_messages.send(_LISTS, scheduled_at="now"), "scheduled_at must be a datetime"),
    (
        lambda c: c.mass_messages.send(ListSelection(custom_list_uuids=["vip"])),
        f"each of custom_list_uuids {_UUID}",
    ),
    (lambda c: c.mass_messages.update(USER, text="x" * 5_001), "text must have 0 to 5,000"),
    (lambda c: c.mass_messages.update(USER, price=9.99), "US cents and an int"),
    (lambda c: c.mass_messages.list(include_deleted=1), "include_deleted must be True or False"),
    (lambda c: c.templates.get("x"), f"template_uuid {_UUID}"),
    (lambda c: c.notifications.list(event_type=object()), "eventType cannot be sent"),
    (lambda c: c.creator(USER).subscribers.online(subscriber_uuids=["x"]), _UUID),
    (lambda c: c.creator(USER).messages.send(USER, text=""), "text must have 1 to 5,000"),
    (lambda c: c.creator("anna"), f"creator_uuid {_UUID}"),
    (lambda c: c.agencies.invite("anna at example.com"), "email must be an e-mail address"),
    (lambda c: c.agencies.earnings(None, _NOW), "start_date must be a datetime, not None"),
    (lambda c: c.agencies.earnings(_NOW, _NOW), "end_date must be later than start_date"),
    (lambda c: c.insights.earnings(start_date=_NAIVE), "start_date needs a time zone"),
    (lambda c: c.collections.create(""), "label must have 1 to"),
    (lambda c: c.posts.add_comment(USER, "x" * 601), "text must have 1 to 600"),
    (lambda c: c.media.get_many([user(n) for n in range(21)]), "at most 20 UUIDs, not 21"),
    (lambda c: c.vault.get_folder("x" * 256), "folder_name must"),
    (lambda c: c.posts.create(None), "audience must be a str, not a NoneType"),
    (lambda c: c.posts.create("subscribers", text="x" * 5_001), "text must have 0 to 5,000"),
    (lambda c: c.posts.create("subscribers", price=300), "price needs media_uuids"),
    (lambda c: c.posts.create("subscribers", media_uuids=[USER], price=9.99), "is 999"),
    (lambda c: c.posts.create("subscribers", media_uuids=[USER], price=299), _PRICE),
    (lambda c: c.posts.create("subscribers", media_preview_uuid="x"), f"preview_uuid {_UUID}"),
    (lambda c: c.posts.create("subscribers", publish_at=_NAIVE), "publish_at needs a time zone"),
    (lambda c: c.posts.create("subscribers", expires_at="now"), "expires_at must be a datetime"),
    (lambda c: c.posts.create("subscribers", collection_uuids=USER), "must be a list"),
    (lambda c: c.posts.update("x"), f"post_uuid {_UUID}"),
    (lambda c: c.posts.update(USER, audience=None), "audience must be a str, not a NoneType"),
    (lambda c: c.posts.update(USER, media_uuids=None), "media_uuids must be a list"),
    (lambda c: c.posts.update(USER, price=True), _PRICE),
    (lambda c: c.posts.list(include_unpublished="yes"), "include_unpublished must be True"),
    (lambda c: c.posts.add_comment(USER, ""), "text must have 1 to 600 characters, not 0"),
    (lambda c: c.posts.add_comment(USER, "x" * 601), "text must have 1 to 600 characters"),
    (lambda c: c.posts.delete_comment(USER, "x"), f"comment_uuid {_UUID}"),
    (lambda c: c.posts.likes(USER, page_size=51), "page_size must be an int, 1 to 50"),
    (lambda c: c.collections.create(""), "label must have 1 to 100 characters, not 0"),
    (lambda c: c.collections.rename(USER, "x" * 101), "label must have 1 to 100"),
    (lambda c: c.collections.delete("x"), f"collection_uuid {_UUID}"),
    (lambda c: c.media.list(variants="main"), "variants must be a list"),
    (lambda c: c.media.list(status="ready"), "status must be a list"),
    (lambda c: c.media.list(purchased_by="x"), f"purchased_by {_UUID}"),
    (lambda c: c.media.list(folder_name=""), "folder_name must have 1 to 255"),
    (lambda c: c.media.get("x"), f"media_uuid {_UUID}"),
    (lambda c: c.media.get_many([user(n) for n in range(21)]), "at most 20 UUIDs, not 21"),
    (lambda c: c.media.get_many([]), "media_uuids must have at least 1"),
    (lambda c: c.media.entitled(USER, None), f"consumer_id {_UUID}"),
    (lambda c: c.media.grant(USER, USER, "My Shop", "1"), "source may hold a to z, 0 to 9 and _"),
    (lambda c: c.media.grant(USER, USER, "x" * 101, "1"), "source must have 1 to 100"),
    (lambda c: c.media.grant(USER, USER, "shop", ""), "source_ref must have 1 to 255"),
    (lambda c: c.media.update(USER, recommended_price=50_001), "an int, 0 to 50,?000"),
    (lambda c: c.media.update(USER, recommended_price=9.99), "an int, 0 to 50,?000"),
    (lambda c: c.media.update(USER, caption="x" * 5_001), "caption must have 0 to 5,000"),
    (lambda c: c.media.create_upload("n" * 256, "a", "image"), "name must have 1 to 255"),
    (lambda c: c.media.create_upload("n", "", "image"), "filename must have 1 to 255"),
    (lambda c: c.media.create_upload("n", "a", "image", size_bytes=0), "size_bytes"),
    (lambda c: c.media.create_upload("n", "a", "image", size_bytes=1_610_612_737), "size_bytes"),
    (lambda c: c.media.upload_part_url("", 1), "upload_id must be a str of 1 to 255"),
    (lambda c: c.media.upload_part_url("a", 0), "part_number must be an int, 1 to 10"),
    (lambda c: c.media.complete_upload("a", "parts"), "parts must be a list"),
    (lambda c: c.media.complete_upload("a", ["part"]), "each of parts must be an UploadPart"),
    (lambda c: c.vault.create_folder("x" * 256), "name must have 1 to 255"),
    (lambda c: c.vault.get_folder(""), "folder_name must be a str of 1 to 255"),
    (lambda c: c.vault.rename_folder("a", None), "name must be a str, not a NoneType"),
    (lambda c: c.vault.attach("a", []), "media_uuids must have at least 1"),
    (lambda c: c.vault.attach("a", [user(n) for n in range(101)]), "at most 100 UUIDs, not 101"),
    (lambda c: c.insights.earnings(start_date=_NAIVE), "start_date needs a time zone"),
    (lambda c: c.insights.earnings(source="tip"), "source must be a list"),
    (lambda c: c.insights.earnings(end_date="2026-01-01"), "end_date must be a datetime"),
    (lambda c: c.insights.earnings(start_date=_DAY, end_date=_DAY), "end_date must be later"),
    (lambda c: c.insights.earnings_summary(timezone=None), "timezone must be a str"),
    (lambda c: c.insights.fans([user(n) for n in range(21)]), "at most 20 UUIDs, not 21"),
    (lambda c: c.insights.fans_batch([]), "user_uuids must have at least 1"),
    (lambda c: c.tracking_links.create("", "reddit"), "name must have 1 to"),
    (lambda c: c.tracking_links.create("a", None), "external_social_platform must be a str"),
    (lambda c: c.tracking_links.list(created_after=_NAIVE), "created_after needs a time zone"),
    (lambda c: c.tracking_links.users("x"), f"link_uuid {_UUID}"),
    (lambda c: c.agencies.earnings(None, _DAY), "start_date must be a datetime, not None"),
    (lambda c: c.agencies.earnings(_NAIVE, _DAY), "start_date needs a time zone"),
    (lambda c: c.agencies.subscribers_history(_DAY, _FAR), "at most 365 days after"),
    (lambda c: c.agencies.subscribers(creator_uuids=[user(n) for n in range(51)]), "not 51"),
    (lambda c: c.agencies.chatter_leaderboard(chatter_uuids=[USER] * 101), "not 101"),
    (lambda c: c.agencies.invite("anna"), "email must be an e-mail address"),
    (lambda c: c.agencies.invite("anna @example.com"), "email must be an e-mail address"),
    (lambda c: c.agencies.invite_creator(None), "email must be a str, not a NoneType"),
    (lambda c: c.agencies.update_team_member(USER, USER), "creator_uuids must be a list"),
    (lambda c: c.agencies.update_team_member("x", []), f"user_id {_UUID}"),
    (lambda c: c.apps.my_subscription("x"), f"app_uuid {_UUID}"),
]


async def _use(made: Any) -> None:
    if isinstance(made, Listing):
        await made.collect()
    elif inspect.isawaitable(made):
        await made


@pytest.mark.parametrize(("call", "sentence"), _REFUSED, ids=range(len(_REFUSED)))
async def test_it_is_refused_before_sending(call: Callable[[Any], Any], sentence: str) -> None:
    """The sentence names the argument and what it may be; no request is made."""
    client = FanvueClient("token", base_url="http://127.0.0.1:9")  # never opened, and nobody there
    with pytest.raises(InvalidArgumentError, match=sentence) as caught:
        await _use(call(client))

    assert caught.value.maybe_processed is False


async def test_what_the_api_bounds_nowhere_is_sent(client: FanvueClient, fake: FakeFanvue) -> None:
    """Money of this package is an int of cents; and a nickname may have any length."""
    await client.media.update(fake.media.add("Sunset"), recommended_price=Cents(999))
    assert fake.requests[-1].json() == {"recommendedPrice": 999}

    with pytest.raises(NotFoundError):
        await client.agencies.update_team_member(USER, [], nickname="x" * 101)
    assert fake.requests[-1].json() == {"creatorUuids": [], "nickname": "x" * 101}


async def test_refusals_name_the_call(client: FanvueClient) -> None:
    """An error knows its operation, and that of a creator's twin."""
    bad: Any = 9.99
    for messages, name in (
        (client.messages, "POST /chats/{userUuid}/message"),
        (
            client.creator(USER).messages,
            "POST /creators/{creatorUserUuid}/chats/{userUuid}/message",
        ),
    ):
        with pytest.raises(InvalidArgumentError) as caught:
            await messages.send(USER, media_uuids=[USER], price=bad)
        assert caught.value.operation == name


@pytest.mark.parametrize("keyword", ["texts", "markAsRead", "size"])
async def test_unknown_keywords_are_no_arguments(client: FanvueClient, keyword: str) -> None:
    """A typo is Python's own error."""
    send: Any = client.messages.send
    with pytest.raises(TypeError, match=keyword):
        await send(USER, **{keyword: 1})


@pytest.mark.parametrize(
    "given", [UUID(USER), USER.upper(), uuid_utils.UUID(USER)], ids=["uuid", "text", "uuid_utils"]
)
async def test_uuids_of_any_library_are_sent_alike(
    client: FanvueClient, fake: FakeFanvue, given: Any
) -> None:
    """In paths, queries, bodies and lists, a UUID is a UUID."""
    fake.reply(200, json={given and USER: {"isOnline": True, "lastSeenAt": None}})
    statuses = await client.chats.statuses([given])
    assert statuses[USER].is_online
    await client.chats.create(given)
    client.chats.list(custom_list_id=given)

    assert fake.requests[0].body == b'{"userUuids":["%s"]}' % USER.encode()
    assert fake.requests[1].body == b'{"userUuid":"%s"}' % USER.encode()


async def test_any_text_passes_for_an_enumeration(client: FanvueClient, fake: FakeFanvue) -> None:
    """The API may know more words than the documentation: types are a help, not a fence."""
    new: Any = "a_new_one"
    fake.reply(200, json={"data": [], "pagination": {"page": 1, "size": 0, "hasMore": False}})
    assert await client.chats.list(filter=[new], sort_by=new).collect() == []

    assert fake.requests[0].path == "/chats?filter=a_new_one&sortBy=a_new_one&page=1&size=50"


async def test_dates_are_sent_with_their_offset(client: FanvueClient, fake: FakeFanvue) -> None:
    """A time zone is kept: what is meant reaches the API."""
    fake.reply(201, json={"id": "a", "recipientCount": 1, "createdAt": None})
    when = datetime(2030, 1, 1, 12, tzinfo=UTC)
    await client.mass_messages.send(_LISTS, text="Hi", scheduled_at=when)

    assert b'"scheduledAt":"2030-01-01T12:00:00.000Z"' in fake.requests[0].body
