"""Chats, messages, mass messages, lists, templates and fans of the fake, in both forms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.users import user

from fanvue_async.testing import FakeFanvue

if TYPE_CHECKING:
    from support.judged import Judged

MEDIA = user(900)


async def names(side: Judged, path: str = "/chats", **query: Any) -> list[str]:
    """Give the handles of the users of a page."""
    rows = (await side.get(path, **query))["data"]
    return [row.get("user", row)["handle"] for row in rows]


async def test_what_a_fan_writes_can_be_read(fake: FakeFanvue, side: Judged) -> None:
    """A received message is in the chat, unread until it is read without ``markAsRead=false``."""
    anna = fake.users.add(handle="fan-anna")
    message = side.account.chats.receive(anna, "Hello?")
    (chat,) = (await side.get("/chats"))["data"]
    assert chat["user"]["handle"] == "fan-anna"
    assert (chat["unreadMessagesCount"], chat["isRead"]) == (1, False)
    assert chat["lastMessage"]["uuid"] == message
    assert chat["lastMessage"]["senderUuid"] == anna

    for mark, unread in (("false", 1), ("true", 0)):
        page = await side.get(f"/chats/{anna}/messages", markAsRead=mark)
        assert [row["text"] for row in page["data"]] == ["Hello?"]
        assert (await side.get("/chats"))["data"][0]["unreadMessagesCount"] == unread
    assert side.account.chats == []  # nobody created one by POST /chats


async def test_a_created_chat_is_there(side: Judged) -> None:
    """POST /chats opens an empty chat; ``fake.chats`` compares and reads as the list of users."""
    await side.do("POST", "/chats", {"userUuid": user(1)}, status=201)
    await side.do("POST", "/chats", {"userUuid": user(2)}, status=201)

    chats = side.account.chats
    assert chats == [user(1), user(2)]
    assert chats == side.account.chats
    assert (chats[0], chats[1:], len(chats), repr(chats)) == (
        user(1),
        [user(2)],
        2,
        repr([user(1), user(2)]),
    )
    rows = (await side.get("/chats"))["data"]
    assert [row["user"]["uuid"] for row in rows] == [user(2), user(1)]
    assert rows[0]["lastMessage"] is rows[0]["lastMessageAt"] is None


async def test_a_chat_can_be_changed(fake: FakeFanvue, side: Judged) -> None:
    """Read, muted and nickname are kept, and shown where the API shows them."""
    anna = fake.users.add()
    side.account.chats.receive(anna)
    path = f"/chats/{anna}"
    changes = {"isRead": True, "isMuted": True, "nickname": "Annie"}
    await side.do("PATCH", path, changes, status=204)
    (chat,) = (await side.get("/chats"))["data"]
    assert (chat["isRead"], chat["isMuted"], chat["user"]["nickname"]) == (True, True, "Annie")
    await side.do("PATCH", path, {"isRead": False, "nickname": ""}, status=204)
    (chat,) = (await side.get("/chats"))["data"]
    assert (chat["isRead"], chat["unreadMessagesCount"]) == (False, 0)
    assert chat["user"]["nickname"] is None
    await side.do("PATCH", path, {"isMuted": False}, status=204)
    assert (await side.get("/chats"))["data"][0]["isRead"] is False
    wrong = await side.do("PATCH", path, {"isRead": "yes"}, status=400)
    assert wrong == {"errors": ["isRead must be true or false"]}
    absent = 404 if side.prefix else 400
    await side.do("PATCH", f"/chats/{user(5)}", {"isRead": True}, status=absent)


async def test_pages_hold_as_many_as_asked_for(side: Judged) -> None:
    """Page, size and the end mark; ``size`` of the envelope is what came."""
    for number in range(5):
        side.account.chats.receive(user(number), f"{number}")
    first, last = [await side.get("/chats", page=page, size=3) for page in (1, 2)]
    assert first["pagination"] == {"page": 1, "size": 3, "hasMore": True}
    assert last["pagination"] == {"page": 2, "size": 2, "hasMore": False}
    texts = [row["lastMessage"]["text"] for row in first["data"] + last["data"]]
    assert texts == ["4", "3", "2", "1", "0"]


async def test_chats_can_be_filtered(fake: FakeFanvue, own: Judged) -> None:
    """Each documented filter, the lists, the search and the orders choose by what has happened."""
    for handle in ("quiet", "loud", "buyer", "maker"):
        fan = fake.users.add(handle=handle, is_creator=handle == "maker", online=handle == "loud")
        fake.chats.receive(fan)
        if handle == "quiet":
            fake.followers.add(fan)
        if handle == "loud":
            fake.subscribers.add(fan)
        if handle == "buyer":
            fake.messages.tip(fan, 6000)
    buyer, quiet = fake.chats.all()[1].user, fake.chats.all()[3].user
    await own.do("POST", f"/chats/{quiet}/message", {"text": "Hi"}, status=201)
    await own.do("PATCH", f"/chats/{buyer}", {"isRead": True, "isMuted": True}, status=204)
    expected = {
        "unread": ["quiet", "maker", "loud"],
        "subscribers": ["loud"],
        "followers": ["quiet"],
        "online": ["loud"],
        "recent_subscribers": ["loud"],
        "not_answered": ["maker", "buyer", "loud"],
        "spent_more_than_50": ["buyer"],
        "on_free_trial": [],
        "has_tipped": ["buyer"],
        "spenders": ["buyer", "loud"],
        "exclude_creators": ["quiet", "buyer", "loud"],
        "subscribed_to": [],
        "not_muted": ["quiet", "maker", "loud"],
        "archived": [],
    }
    assert {name: await names(own, filter=name) for name in expected} == expected
    assert await names(own, filter=["spenders", "online"]) == ["loud"]
    assert await names(own, smartListIds=["muted", "followers"]) == ["quiet", "buyer"]
    assert await names(own, customListId=fake.custom_lists.add("vip", [buyer])) == ["buyer"]
    assert await names(own, customListId=user(1)) == []
    assert await names(own, search="OU") == ["loud"]
    assert (await names(own, sortBy="online_now"))[0] == "loud"
    assert (await names(own, sortBy="most_unanswered_chats"))[-1] == "buyer"
    fake.me.profile["isCreator"] = False
    assert (await own.send("GET", "/chats", query={"filter": "spenders"})).status == 403
    assert await names(own, filter="online") == ["loud"]


async def test_unread_and_statuses(fake: FakeFanvue, own: Judged) -> None:
    """What is unread is counted; who is there is told, and strangers are offline."""
    anna, bert = fake.users.add(online=True), fake.users.add()
    fake.chats.receive(anna)
    fake.chats.receive(anna)
    fake.chats.open(bert)
    await own.do("PATCH", f"/chats/{bert}", {"isRead": False}, status=204)
    fake.notifications.add(11, {"amount": 5}, originator=anna)
    unread = await own.get("/chats/unread")
    assert (unread["unreadChatsCount"], unread["unreadMessagesCount"]) == (2, 2)
    assert unread["unreadNotifications"]["newTip"] == 1
    statuses = await own.do("POST", "/chats/statuses", {"userUuids": [anna, bert]}, status=200)
    assert [statuses[each]["isOnline"] for each in (anna, bert)] == [True, False]
    assert statuses[bert]["lastSeenAt"] is None
    await own.do("POST", f"/chats/{anna}/typing", {"isTyping": True}, status=204)
    await own.do("POST", f"/chats/{user(9)}/typing", {"isTyping": True}, status=400)


async def test_a_message_is_sent_and_read(fake: FakeFanvue, side: Judged) -> None:
    """What is sent is in the chat, newest first, from the account and not from the fan."""
    anna = fake.users.add()
    kind = side.account.media.add("clip", kind="video")
    for body in ({"text": "one"}, {"text": "two", "mediaUuids": [kind], "price": 500}):
        sent = await side.do("POST", f"/chats/{anna}/message", body, status=201)
    newest, oldest = (await side.get(f"/chats/{anna}/messages"))["data"]
    assert (newest["uuid"], newest["text"], oldest["text"]) == (sent["messageUuid"], "two", "one")
    assert newest["pricing"] == {"USD": {"price": 500}}
    assert (newest["hasMedia"], newest["mediaType"], newest["mediaUuids"]) == (
        True,
        "video",
        [kind],
    )
    assert newest["sender"]["uuid"] == newest["sentByUserId"] == side.account.uuid
    assert newest["recipient"]["uuid"] == anna
    assert side.account.messages.of(anna) == [oldest, newest]
    assert side.account.messages.of(user(5)) == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "needs a text or media"),
        ({"text": None}, "needs a text or media"),
        ({"text": ""}, "text must have at least 1"),
        ({"text": "x" * 5001}, "at most 5000"),
        ({"text": 5}, "text must be a text"),
        ({"text": "x", "price": 500}, "A price needs at least one media"),
        ({"text": "x", "mediaUuids": [MEDIA], "price": 299}, "price must be at least 300"),
        ({"text": "x", "mediaUuids": [MEDIA], "price": "500"}, "price must be a number"),
        ({"text": "x", "mediaUuids": [MEDIA], "price": True}, "price must be a number"),
        ({"text": "x", "mediaUuids": ["1"]}, "mediaUuids[0] must be a UUID"),
        ({"text": "x", "mediaUuids": MEDIA}, "mediaUuids must be a list"),
        ({"templateUuid": user(1)}, "no such template"),
        ({"message": "x"}, "message is not known"),
    ],
)
async def test_a_message_must_be_as_documented(side: Judged, body: Any, said: str) -> None:
    """All refusals of a send are ``{message}``, and nothing is sent."""
    side.account.chats.receive(user(1))
    answer = await side.do("POST", f"/chats/{user(1)}/message", body, status=400)

    assert said in answer["message"]
    assert len(side.account.messages.of(user(1))) == 1


async def test_who_can_be_written_to(fake: FakeFanvue, side: Judged) -> None:
    """Some users cannot; without a chat it is a setting."""
    path = "/chats/{}/message"
    cold = fake.users.add(contactable=False)
    await side.do("POST", path.format(cold), {"text": "x"}, status=400)
    await side.do("POST", path.format(user(1)), {"text": "x"}, status=201)
    fake.world.needs_chat = True
    await side.do("POST", path.format(user(1)), {"text": "x"}, status=201)
    await side.do("POST", path.format(user(2)), {"text": "x"}, status=400)


async def test_templates(fake: FakeFanvue, own: Judged) -> None:
    """A template is sent with what it holds, and what the message says itself wins."""
    template = fake.templates.add("Welcome", media_uuids=[MEDIA], price=400, folder_name="Hello")
    fake.templates.add("Bye")
    assert (await own.get("/chats/templates", folderName="hELL"))["data"][0]["text"] == "Welcome"
    assert len((await own.get("/chats/templates"))["data"]) == 2
    assert (await own.get(f"/chats/templates/{template}"))["price"] == 400
    assert (await own.send("GET", f"/chats/templates/{user(1)}")).status == 404
    body = {"templateUuid": template, "text": "Hey"}
    await own.do("POST", f"/chats/{user(1)}/message", body, status=201)
    (message,) = fake.messages.of(user(1))
    assert (message["text"], message["mediaUuids"]) == ("Hey", [MEDIA])


async def test_a_message_can_be_bought_and_deleted(fake: FakeFanvue, own: Judged) -> None:
    """Own unsold messages can be deleted; bought, foreign and unknown ones cannot."""
    anna = fake.users.add()
    theirs = fake.chats.receive(anna)
    bodies: list[Any] = [{"text": "x"}, {"text": "y", "mediaUuids": [MEDIA], "price": 500}]
    free, sold = [
        (await own.do("POST", f"/chats/{anna}/message", body, status=201))["messageUuid"]
        for body in bodies
    ]
    fake.buy(sold)
    for message, status in ((free, 204), (sold, 400), (theirs, 400), (free, 404)):
        await own.do("DELETE", f"/chats/{anna}/messages/{message}", status=status)
    assert [row["uuid"] for row in fake.messages.of(anna)] == [theirs, sold]
    assert fake.messages.of(anna)[1]["purchasedAt"]
    for message in (sold, theirs, user(1)):
        with pytest.raises(ValueError, match=r"no message|no price"):
            fake.buy(message)


async def test_batches_answer_per_key(fake: FakeFanvue, own: Judged) -> None:
    """The newest of each chat, only those after a message, and an error for a chat there is not."""
    anna, bert = fake.users.add(), fake.users.add()
    uuids = [fake.chats.receive(anna, str(number)) for number in range(5)]
    fake.chats.open(bert)
    body: dict[str, Any] = {"chatUuids": [anna, bert, user(1)], "limit": 2}
    found = (await own.do("POST", "/chats/messages/batch", body, status=200))["byChat"]
    assert [row["text"] for row in found[anna]["messages"]] == ["4", "3"]
    assert (found[anna]["hasMore"], found[anna]["oldestMessageUuid"]) == (True, uuids[3])
    assert found[bert] == {"messages": [], "hasMore": False, "oldestMessageUuid": None}
    assert found[user(1)] == {"error": "not_found"}
    body["sinceMessageUuid"] = uuids[3]
    found = (await own.do("POST", "/chats/messages/batch", body, status=200))["byChat"]
    assert [row["text"] for row in found[anna]["messages"]] == ["4"]


async def test_media_of_chats(fake: FakeFanvue, side: Judged) -> None:
    """By message and by chat, behind a cursor that new messages do not shift."""
    anna = fake.users.add()
    clip = side.account.media.add("clip", kind="video")
    message = side.account.chats.receive(anna, media_uuids=[MEDIA, clip])
    path = f"/chats/{anna}/messages/{message}/media"
    got = await side.get(path, mediaUuids=f"{clip},{user(1)}", variants="main,blurred")
    assert got["results"][clip]["name"] == "clip"
    assert [each["variantType"] for each in got["results"][clip]["variants"]] == ["main"]
    assert got["results"][user(1)] is None
    assert [each["code"] for each in got["errors"]] == ["NOT_IN_MESSAGE"]
    wrong = await side.send("GET", path, query={"variants": "main"})
    assert wrong.json() == {"errors": ["mediaUuids is required"]}
    too_many = await side.send("GET", path, query={"mediaUuids": ",".join([MEDIA] * 21)})
    assert "at most 20 items" in too_many.json()["errors"][0]
    absent = await side.send("GET", path.replace(message, user(1)), query={"mediaUuids": clip})
    assert absent.status == 404

    first = await side.get(f"/chats/{anna}/media", limit=1)
    side.account.chats.receive(anna, media_uuids=[user(2)])
    rest = await side.get(f"/chats/{anna}/media", limit=1, cursor=first["nextCursor"])
    assert [first["data"][0]["uuid"], rest["data"][0]["uuid"]] == [MEDIA, clip]
    assert rest["nextCursor"] is None
    assert len((await side.get(f"/chats/{anna}/media", mediaType="video"))["data"]) == 1
    wrong = await side.send("GET", f"/chats/{anna}/media", query={"cursor": "?"})
    assert wrong.json() == {"errors": ["cursor is not one of ours"]}


async def test_custom_lists(fake: FakeFanvue, own: Judged) -> None:
    """Made, renamed, filled, read and deleted; names are unique, members come once."""
    path = "/chats/lists/custom"
    vip = (await own.do("POST", path, {"name": "vip"}, status=201))["uuid"]
    await own.do("POST", path, {"name": "vip"}, status=409)
    other = fake.custom_lists.add("other", [user(1)])
    await own.do("PATCH", f"{path}/{other}", {"name": "vip"}, status=409)
    await own.do("PATCH", f"{path}/{other}", {"name": "other"}, status=204)
    body = {"userUuids": [user(1), user(2), user(1)]}
    for counts in ({"added": 2, "skipped": 1}, {"added": 0, "skipped": 3}):
        assert await own.do("POST", f"{path}/{vip}/members", body, status=201) == counts
    for status in (204, 404):
        await own.do("DELETE", f"{path}/{vip}/members/{user(1)}", status=status)
    members = (await own.get(f"{path}/{vip}"))["data"]
    assert [member["uuid"] for member in members] == fake.custom_lists.members(vip) == [user(2)]
    lists = (await own.get(path, search="VI"))["data"]
    assert [(each["name"], each["membersCount"]) for each in lists] == [("vip", 1)]
    for status in (204, 404):
        await own.do("DELETE", f"{path}/{vip}", status=status)


async def test_lists_of_both_forms(fake: FakeFanvue, side: Judged) -> None:
    """Custom lists can be read, smart lists follow from what fans do."""
    account = side.account
    custom = account.custom_lists.add("vip", [fake.users.add(handle="vip-1")])
    assert await names(side, f"/chats/lists/custom/{custom}") == ["vip-1"]
    assert len((await side.get("/chats/lists/custom"))["data"]) == 1
    trial = account.subscribers.add(on_trial=True, renews=False)
    account.subscribers.add(fake.users.add(handle="paying"), price=6000)
    account.subscribers.expire(trial)
    account.followers.add(trial)
    account.followers.remove(trial)
    counts = {row["uuid"]: row["count"] for row in await side.get("/chats/lists/smart")}
    assert counts == {
        **dict.fromkeys(counts, 0),
        "subscribers": 1,
        "auto_renewing": 1,
        "expired_subscribers": 1,
        "spent_more_than_50": 1,
    }
    assert await names(side, "/chats/lists/smart/subscribers") == ["paying"]
    unknown = await side.send("GET", "/chats/lists/smart/friends")
    assert "uuid must be one of" in unknown.json()["errors"][0]


async def test_mass_messages(fake: FakeFanvue, side: Judged) -> None:
    """Sent now or later, changed while scheduled, deleted but not forgotten."""
    now = 1_000_000.0
    fake.world.clock = lambda: now
    account = side.account
    fans = [account.subscribers.add() for _ in range(3)]
    vip = account.custom_lists.add("vip", fans[:1])
    path = "/chats/mass-messages"
    lists = {"smartListUuids": ["subscribers"]}
    body = {"includedLists": lists, "excludedLists": {"customListUuids": [vip]}, "text": "Hi"}
    sent = await side.do("POST", path, body, status=201)
    assert sent["recipientCount"] == 2
    later = {**body, "scheduledAt": "1970-01-13T00:00:00.000Z"}
    planned = (await side.do("POST", path, later, status=201))["id"]
    rows = (await side.get(path))["data"]
    assert [(row["uuid"], row["status"]) for row in rows] == [
        (planned, "SCHEDULED"),
        (sent["id"], "SENT"),
    ]
    changes: dict[str, Any] = {
        "excludedLists": {},
        "text": "",
        "scheduledAt": "1970-01-12T14:00:00Z",
    }
    for given in (changes, {"price": None}):
        await side.do("PATCH", f"{path}/{planned}", given, status=204)
    assert account.mass_messages.rows[1]["recipientCount"] == 3
    now += 1000
    assert account.mass_messages.rows[1]["status"] == "SENT"
    await side.do("PATCH", f"{path}/{planned}", {"text": "late"}, status=400)
    for status in (204, 404):
        await side.do("DELETE", f"{path}/{planned}", status=status)
    assert len((await side.get(path))["data"]) == 1
    deleted = (await side.get(path, includeDeleted="true"))["data"][0]
    assert (deleted["uuid"], deleted["status"]) == (planned, "UNSENT")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"includedLists": {}}, "needs a list"),
        ({"includedLists": {"smartListUuids": ["all"]}}, "includedLists.smartListUuids[0] must be"),
        ({"includedLists": []}, "includedLists must be an object"),
        ({"includedLists": {"lists": []}}, "includedLists.lists is not known"),
        ({"text": None}, "text must be a text"),
        ({"price": 500}, "A price needs"),
        ({"scheduledAt": "2026-01-01"}, "scheduledAt must be a date-time"),
        ({"scheduledAt": "tomorrow"}, "scheduledAt must be a date-time"),
        ({"scheduledAt": "0001-01-01T00:00:00+23:00"}, "scheduledAt must be a date-time"),
    ],
)
async def test_a_mass_message_must_be_as_documented(
    side: Judged, changes: dict[str, Any], said: str
) -> None:
    """All refusals are ``{message}``."""
    body = {"includedLists": {"smartListUuids": ["subscribers"]}, "text": "Hi", **changes}
    answer = await side.do("POST", "/chats/mass-messages", body, status=400)
    assert said in answer["message"]


async def test_fans(fake: FakeFanvue, side: Judged) -> None:
    """Followers without subscribers; subscribers in each order; who of them is online."""
    account = side.account
    for handle in ("b", "a", "c"):
        account.followers.add(fake.users.add(handle=handle))
        account.subscribers.add(fake.users.add(handle=f"s-{handle}"))
    both = account.followers.add(fake.users.add(handle="both"))
    account.subscribers.add(both)
    account.followers.add()
    assert len((await side.get("/followers"))["data"]) == 4
    by_name = {"sortField": "name"}
    orders: dict[str, dict[str, str]] = {
        "both s-c s-a s-b": {},
        "s-b s-a s-c both": {"sortField": "subscribedAt", "sortDirection": "asc"},
        "both s-a s-b s-c": by_name,
        "s-c s-b s-a both": {**by_name, "sortDirection": "desc"},
    }
    for expected, query in orders.items():
        if not (side.prefix and query):  # the form for creators has no order
            assert await names(side, "/subscribers", **query) == expected.split()
    if side.prefix:
        fake.users.set_online(both, online=True)
        online = await side.get("/subscribers/online")
        assert (online["count"], online["data"][0]["uuid"]) == (1, both)
        asked = await side.get("/subscribers/online", subscriberUuids=user(1))
        assert asked == {"count": 0, "data": []}


async def test_notifications_and_profiles(fake: FakeFanvue, side: Judged) -> None:
    """Notifications newest first and by kind; profile and account with what was earned."""
    account = side.account
    fan = account.subscribers.add()
    account.notifications.add(12, originator=fan)
    account.notifications.add(6)
    rows = (await side.get("/notifications"))["data"]
    assert [row["eventType"] for row in rows] == [6, 12]
    assert rows[1]["originator"]["uuid"] == fan
    assert len((await side.get("/notifications", eventType=6))["data"]) == 1
    account.messages.tip(fan, 1000)
    profile = await side.get("/account" if side.prefix else "/users/account")
    assert profile["uuid"] == account.me.uuid
    assert profile["account"]["earnings"]["total"] == 1000
    assert profile["account"]["fans"] == {"followers": 0, "subscribers": 1}
    if not side.prefix:
        me = await side.get("/users/me")
        assert me["fanCounts"] == {"followersCount": 0, "subscribersCount": 1}
        fake.me.profile["isCreator"] = False
        assert "fanCounts" not in await side.get("/users/me")
        fake.creators.add(fake.creators.add(handle="anna"))
        assert await names(side, "/creators") == ["anna"]


def test_what_a_test_arranges_wrongly_is_told() -> None:
    """A creator who was not added, a user who is no UUID."""
    fake = FakeFanvue()
    with pytest.raises(ValueError, match=r"creators\.add"):
        fake.creator(user(1))
    with pytest.raises(ValueError, match="UUIDs are needed"):
        fake.chats.receive("anna")
    assert fake.creator(fake.uuid) is fake
