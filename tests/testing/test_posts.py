"""Posts, media, vault, insights and what else of the API the fake plays, in both forms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from support.users import user

if TYPE_CHECKING:
    from support.judged import Judged

    from fanvue_async.testing import FakeFanvue

FREE = {"audience": "subscribers", "text": "Hello"}


async def uuids(side: Judged, path: str, **query: Any) -> list[str]:
    """Give the ids of a page."""
    return [row["uuid"] for row in (await side.get(path, **query))["data"]]


async def test_posts_live(side: Judged) -> None:
    """Created, read, pinned, posted again, deleted; pinned ones come first, then the newest."""
    made = [(await side.do("POST", "/posts", FREE, status=201))["uuid"] for _ in range(3)]
    one, two, three = made
    assert await uuids(side, "/posts") == [three, two, one]
    pinned = await side.do("POST", f"/posts/{two}/pin", status=200)
    assert pinned["isPinned"] is True
    await side.do("POST", f"/posts/{one}/repost", status=200)
    assert await uuids(side, "/posts") == [two, one, three]
    await side.do("DELETE", f"/posts/{two}/pin", status=200)
    for status in (204, 404):
        await side.do("DELETE", f"/posts/{three}", status=status)
    assert await uuids(side, "/posts", size=1) == [one]


async def test_posts_are_published_when_due(fake: FakeFanvue, side: Judged) -> None:
    """A time ahead keeps a post back until then; null publishes at once; drafts can be left out."""
    now = 1_000_000.0
    fake.world.clock = lambda: now
    body = {**FREE, "publishAt": "1970-01-12T14:00:00Z", "expiresAt": "1970-02-01T00:00:00+01:00"}
    first, second = [await side.do("POST", "/posts", body, status=201) for _ in range(2)]
    assert first["publishedAt"] is None
    assert first["expiresAt"] == "1970-01-31T23:00:00.000Z"
    assert await uuids(side, "/posts", includeUnpublished="false") == []
    changed = await side.do("PATCH", f"/posts/{first['uuid']}", {"publishAt": None}, status=200)
    assert changed["publishedAt"] == "1970-01-12T13:46:40.000Z"
    assert await uuids(side, "/posts", includeUnpublished="false") == [first["uuid"]]
    now += 1000
    assert await uuids(side, "/posts", includeUnpublished="false") == [
        second["uuid"],
        first["uuid"],
    ]


async def test_posts_can_be_changed(fake: FakeFanvue, side: Judged) -> None:
    """Null removes, lists replace, what is not given stays."""
    vip = side.account.collections.add("vip")
    post = side.account.posts.add("Hi", media_uuids=[user(1)], price=500)
    path = f"/posts/{post}"
    body: dict[str, Any] = {"collectionUuids": [vip, user(2)], "mediaUuids": []}
    changed = await side.do("PATCH", path, body, status=200)
    assert changed["collections"] == [{"uuid": vip, "label": "vip"}]
    assert (changed["mediaUuids"], changed["price"], changed["text"]) == ([], 500, "Hi")
    body = {"collectionUuids": None, "price": None, "text": None}
    changed = await side.do("PATCH", path, body, status=200)
    assert (changed["collections"], changed["price"], changed["text"]) == ([], None, None)
    wrong = await side.do("PATCH", path, {"audience": "all", "price": 1}, status=400)
    assert [said.split()[0] for said in wrong["errors"]] == ["audience", "price"]
    assert fake.posts is not fake.creator(fake.creators.add()).posts


async def test_what_people_make_of_posts(fake: FakeFanvue, side: Judged) -> None:
    """Comments, likes and tips, by fans and by the account; what was paid is counted."""
    account, anna = side.account, fake.users.add(handle="fan-anna")
    post = account.posts.add("Hi", price=500)
    path = f"/posts/{post}/comments"
    theirs = account.reactions.comment(post, anna, "Nice!")
    ours = (await side.do("POST", path, {"text": "Thanks"}, status=201))["uuid"]
    comments = (await side.get(path))["data"]
    assert [each["uuid"] for each in comments] == [ours, theirs]
    assert comments[1]["user"]["handle"] == "fan-anna"
    for status in (204, 404):
        await side.do("DELETE", f"{path}/{theirs}", status=status)
    account.reactions.like(post, anna)
    account.reactions.tip(post, anna, 1000)
    account.reactions.buy(post, anna)
    if not side.prefix:
        assert (await side.get(f"/posts/{post}/likes"))["data"][0]["user"]["uuid"] == anna
        tip = (await side.get(f"/posts/{post}/tips"))["data"][0]
        assert (tip["gross"], tip["net"]) == (1000, 800)
        shown = await side.get(f"/posts/{post}")
        assert (shown["likesCount"], shown["commentsCount"]) == (1, 1)
        assert shown["tips"] == {"count": 1, "totalGross": 1000, "totalNet": 800}
    earned = (await side.get("/insights/earnings"))["data"]
    assert [(row["source"], row["postUuid"]) for row in earned] == [("post", post), ("tip", post)]
    with pytest.raises(ValueError, match="no price"):
        account.reactions.buy(account.posts.add("free"), anna)


async def test_collections(own: Judged) -> None:
    """Made, renamed and deleted; labels are unique."""
    one = (await own.do("POST", "/collections", {"label": "one"}, status=201))["uuid"]
    two = (await own.do("POST", "/collections", {"label": "two"}, status=201))["uuid"]
    await own.do("POST", "/collections", {"label": "one"}, status=409)
    await own.do("PATCH", f"/collections/{two}", {"label": "one"}, status=409)
    await own.do("PATCH", f"/collections/{two}", {"label": "too"}, status=204)
    for status in (204, 404):
        await own.do("DELETE", f"/collections/{one}", status=status)
    assert [row["label"] for row in (await own.get("/collections"))["data"]] == ["too"]


async def test_media_can_be_found(fake: FakeFanvue, side: Judged) -> None:
    """By kind, state, use and folder; until it is ready, an item shows its state alone."""
    media = side.account.media
    clip = media.add("clip", kind="video", usage=("ppv",))
    raw = media.add("raw", state="processing")
    side.account.vault.add("best", [clip])
    assert await uuids(side, "/media") == [raw, clip]
    for query in (
        {"mediaType": "video"},
        {"status": "ready,error"},
        {"usage": "ppv"},
        {"folderName": "best"},
    ):
        assert await uuids(side, "/media", **query) == [clip]
    assert await side.get(f"/media/{raw}") == {"uuid": raw, "status": "processing"}
    shown = await side.get(f"/media/{clip}", variants="main,thumbnail,blurred")
    assert [each["variantType"] for each in shown["variants"]] == ["main", "thumbnail"]
    assert "purchasedByFan" not in shown
    media.sell(clip, user(1))
    for fan, bought in ((user(1), True), (user(2), False)):
        shown = await side.get(f"/media/{clip}", purchasedBy=fan)
        assert (shown["purchasedByFan"], shown["variants"]) == (bought, [])
    media.set_state(raw, "error")
    assert (await side.get(f"/media/{raw}"))["status"] == "error"
    assert (await side.send("GET", f"/media/{user(1)}")).status == 404
    assert fake.me.profile["isCreator"]


async def test_media_can_be_given(fake: FakeFanvue, own: Judged) -> None:
    """Grants are idempotent by source and reference; links tell whether they were bought."""
    clip = fake.media.add("clip")
    bulk = await own.get("/media/bulk", mediaUuids=f"{clip},{user(1)}")
    assert (bulk["results"][clip]["name"], bulk["results"][user(1)]) == ("clip", None)
    assert [each["code"] for each in bulk["errors"]] == ["NOT_FOUND"]
    path, query = f"/media/{clip}/entitled", {"consumerId": user(1)}
    assert (await own.send("GET", path, query=query)).status == 404
    body = {"consumerId": user(1), "source": "shop", "sourceRef": "order 1"}
    first, again = [
        await own.do("POST", f"/media/{clip}/grant", body, status=200) for _ in range(2)
    ]
    assert first == again
    assert (await own.get(path, **query))["uuid"] == clip
    await own.do("POST", f"/media/{clip}/grant", {**body, "source": "Shop!"}, status=400)
    for bought in (True, False):
        link = fake.library.add_link(purchased=bought)
        assert await own.get(f"/media/links/{link}/purchased") == {"purchased": bought}
    assert (await own.send("GET", f"/media/links/{user(1)}/purchased")).status == 404
    await own.do("PATCH", f"/media/{clip}", {"name": "new", "recommendedPrice": 0}, status=204)
    assert (await own.get(f"/media/{clip}"))["name"] == "new"
    for uuid in (clip, user(1)):
        await own.do("DELETE", f"/media/{uuid}", status=204)
        await own.do("PATCH", f"/media/{uuid}", {"caption": ""}, status=204)
    assert await uuids(own, "/media") == []


async def test_an_upload_arrives(side: Judged) -> None:
    """Session, presigned parts in any order, completion; then the content is there, and ready."""
    account = side.account
    account.uploads.part_size = 5
    body = {"name": "clip", "filename": "clip.mp4", "mediaType": "video", "sizeBytes": 8}
    session = await side.do("POST", "/media/uploads", body, status=200)
    assert (session["partSize"], session["totalParts"]) == (5, 2)
    assert await side.get(f"/media/{session['mediaUuid']}") == {
        "uuid": session["mediaUuid"],
        "status": "created",
    }
    path = f"/media/uploads/{session['uploadId']}"
    tags: dict[int, str] = {}
    for number, content in ((2, b"rld"), (1, b"hello"), (1, b"hewwo")):
        url = (await side.send("GET", f"{path}/parts/{number}/url")).content.decode()
        async with side.session.put(url, data=content) as response:
            assert response.status == 200
            tags[number] = response.headers["ETag"]
    assert account.uploads.content(session["mediaUuid"]) is None
    parts = [{"PartNumber": number, "ETag": tags[number].strip('"')} for number in (1, 2)]
    assert (await side.do("PATCH", path, {"parts": parts}, status=200))["status"] == "processing"
    assert account.uploads.content(session["mediaUuid"]) == b"hewworld"
    assert (await side.get(f"/media/{session['mediaUuid']}"))["status"] == "ready"
    assert account.uploads.begun[0].given["filename"] == "clip.mp4"


async def test_an_upload_can_go_wrong(fake: FakeFanvue, own: Judged) -> None:
    """A signature or header that does not belong, parts that did not arrive, no such upload."""
    body = {"name": "clip", "filename": "clip.mp4", "mediaType": "video"}
    session = await own.do("POST", "/media/uploads", body, status=200)
    assert session.keys() == {"mediaUuid", "uploadId"}
    path = f"/media/uploads/{session['uploadId']}"
    url = (await own.send("GET", f"{path}/parts/1/url")).content.decode()
    put = own.session.put
    async with put(url, data=b"x", headers={"Authorization": "Bearer fake-token"}) as response:
        assert response.status == 400
    async with put(url.partition("?")[0], data=b"x") as response:
        assert response.status == 403
    async with put(url, data=b"x") as response:
        assert "X-RateLimit-Limit" not in response.headers
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer fake-token"}) as session_:
        headers = {"X-Fanvue-API-Version": "2025-06-26"}
        wrongs: list[tuple[str, str, Any, int]] = [
            ("GET", f"{path}/parts/0/url", None, 400),
            ("GET", f"{path}/parts/x/url", None, 400),
            ("GET", "/media/uploads/other/parts/1/url", None, 404),
            ("PATCH", path, {"parts": []}, 400),
            ("PATCH", path, {"parts": [{"PartNumber": 2}]}, 400),
            ("PATCH", path, {"parts": [{"PartNumber": 1, "ETag": "x"}]}, 400),
            ("PATCH", path, {"parts": [{"PartNumber": "1"}]}, 400),
            ("PATCH", path, {}, 200),
        ]
        for method, target, content, status in wrongs:
            async with session_.request(
                method, fake.url + target, json=content, headers=headers
            ) as response:
                assert response.status == status, target
    if own.prefix:
        assert (await own.send("GET", "/media/uploads/other/parts/1/url")).status == 404


async def test_the_vault(fake: FakeFanvue, side: Judged) -> None:
    """Folders by any name, as it is percent-encoded in the path; media come and go."""
    clip = side.account.media.add("clip")
    name, path = "a/b 100% ä", "/vault/folders/a%2Fb%20100%25%20%C3%A4"
    await side.do("POST", "/vault/folders", {"name": name}, status=201)
    await side.do("POST", "/vault/folders", {"name": name}, status=409)
    body = {"mediaUuids": [clip, user(1), clip]}
    for added in (1, 0):
        assert await side.do("POST", f"{path}/media", body, status=201) == {"addedCount": added}
    folder = await side.get(path)
    assert (folder["name"], folder["mediaCount"]) == (name, 1)
    assert await uuids(side, f"{path}/media") == [clip]
    for status in (204, 404):
        await side.do("DELETE", f"{path}/media/{clip}", status=status)
    side.account.vault.add("other")
    await side.do("PATCH", path, {"name": "other"}, status=409)
    for new in (name, "new"):
        await side.do("PATCH", path, {"name": new}, status=204)
    assert [row["name"] for row in (await side.get("/vault/folders"))["data"]] == ["other", "new"]
    await side.do("DELETE", "/vault/folders/new", status=204)
    await side.do("DELETE", "/vault/folders/new", status=404)
    assert (await side.send("GET", path)).status == 404
    assert fake.vault.media("new") == []


async def test_insights(fake: FakeFanvue, side: Judged) -> None:
    """Empty at first; what fans paid is listed, summed and ranked, by time and source."""
    now = 1_000_000.0
    fake.world.clock = lambda: now
    account = side.account
    assert await side.get("/insights/earnings") == {"data": [], "nextCursor": None}
    assert await side.get("/insights/subscribers") == {"data": [], "nextCursor": None}
    assert (await side.get("/insights/earnings/summary"))["totals"]["allTime"]["gross"] == 0
    big, small = fake.users.add(handle="big"), fake.users.add(handle="small")
    for fan, amount in ((small, 500), (big, 900), (big, 600)):
        account.messages.tip(fan, amount)
        now += 86_400
    account.insights.earnings.append({**account.insights.earnings[0], "user": None})
    first = await side.get("/insights/earnings", size=2)
    rest = await side.get("/insights/earnings", size=2, cursor=first["nextCursor"])
    gross = [row["gross"] for row in first["data"] + rest["data"]]
    assert gross == [600, 900, 500, 600]
    between = {"startDate": "1970-01-13T00:00:00Z", "endDate": "1970-01-14T00:00:00Z"}
    assert [r["gross"] for r in (await side.get("/insights/earnings", **between))["data"]] == [900]
    assert (await side.get("/insights/earnings", source="post,renewal"))["data"] == []
    assert len((await side.get("/insights/earnings", source="all"))["data"]) == 4
    summary = await side.get("/insights/earnings/summary", granularity="week", **between)
    assert summary["breakdownBySource"]["tips"] == {"gross": 900, "net": 720}
    assert summary["period"]["granularity"] == "week"
    spenders = (await side.get("/insights/top-spenders"))["data"]
    assert [(row["user"]["handle"], row["gross"]) for row in spenders] == [
        ("big", 1500),
        ("small", 500),
    ]
    wrong = await side.send("GET", "/insights/earnings", query={"startDate": "2026-01-01"})
    assert wrong.json() == {"errors": ["startDate must be a date-time with an offset"]}
    day = {"date": "2026-01-01", "total": 1, "newSubscribersCount": 1}
    account.insights.subscribers.append({**day, "cancelledSubscribersCount": 0})
    day_only = {"startDate": "2026-01-01T00:00:00Z", "endDate": "2026-01-01T00:00:01Z"}
    assert len(await fake_rows(side, "/insights/subscribers", day_only)) == 1


async def fake_rows(side: Judged, path: str, query: dict[str, str]) -> list[Any]:
    """Give the rows of a page that a test filled with what the contract does not allow."""
    target = f"{side.fake.url}{side.prefix}{path}"
    headers = {"Authorization": "Bearer fake-token", "X-Fanvue-API-Version": "2025-06-26"}
    async with side.session.get(target, params=query, headers=headers) as response:
        rows: list[Any] = (await response.json())["data"]
        return rows


async def test_insights_of_fans(fake: FakeFanvue, own: Judged) -> None:
    """What is known follows from what happened, or is what a test put in; strangers are unknown."""
    fans = {
        "subscriber": fake.subscribers.add(),
        "follower": fake.followers.add(),
        "expired": fake.subscribers.add(),
        "not_contactable": fake.users.add(contactable=False),
    }
    fake.subscribers.expire(fans["expired"])
    fake.messages.tip(fans["follower"], 700)
    for status, fan in fans.items():
        assert (await own.get(f"/insights/fans/{fan}"))["status"] == status
    follower = await own.get(f"/insights/fans/{fans['follower']}")
    assert follower["spending"]["total"] == {"gross": 700, "total": 700}
    assert follower["spending"]["sources"] == {"tip": {"gross": 700, "total": 700}}
    stranger, known = user(1), fans["subscriber"]
    assert (await own.send("GET", f"/insights/fans/{stranger}")).status == 404
    some = await own.get("/insights/fans", fanUuids=f"{stranger},{known}")
    assert (some["results"][stranger], some["errors"][0]["fanUuid"]) == (None, stranger)
    body = {"userUuids": [stranger, known]}
    batch = await own.do("POST", "/insights/fans/batch", body, status=200)
    assert batch[stranger] == {"error": "not_found"}
    assert batch[known]["subscription"]["autoRenewalEnabled"] is True
    fake.insights.fans[stranger] = batch[known]
    assert await own.get(f"/insights/fans/{stranger}") == batch[known]
    assert await own.get("/insights/earnings/percentile") == {"percentile": 0.0}
    assert (await own.get("/insights/spending"))["data"] == []


async def test_tracking_links(fake: FakeFanvue, side: Judged) -> None:
    """Made, listed by time behind a cursor, deleted; who came by them, with metadata."""
    now = 1_000_000.0
    fake.world.clock = lambda: now
    links = side.account.tracking_links
    body = {"name": "bio", "externalSocialPlatform": "reddit"}
    made = (await side.do("POST", "/tracking-links", body, status=201))["uuid"]
    now += 60
    other = links.add("other")
    first = await side.get("/tracking-links", limit=1)
    rest = await side.get("/tracking-links", limit=1, cursor=first["nextCursor"])
    assert [first["data"][0]["uuid"], rest["data"][0]["uuid"]] == [other, made]
    then = "1970-01-12T13:47:00Z"
    assert await uuids(side, "/tracking-links", createdBefore=then) == [made]
    assert await uuids(side, "/tracking-links", createdAfter=then) == [other]
    fan, stranger = side.account.subscribers.add(), fake.users.add()
    links.add_user(made, fan, {"utm": "x"})
    links.add_user(made, stranger)
    assert links.row(made)["clicks"] == 2
    users = (await side.get(f"/tracking-links/{made}/users"))["data"]
    assert [(row["uuid"], row["status"]) for row in users] == [
        (stranger, None),
        (fan, "subscriber"),
    ]
    path = f"/tracking-links/{made}/users/{{}}/metadata"
    assert (await side.get(path.format(fan)))["metadata"] == {"utm": "x"}
    assert (await side.get(path.format(stranger)))["metadata"] is None
    assert (await side.send("GET", path.format(user(1)))).status == 404
    await side.do("DELETE", f"/tracking-links/{made}", status=204)
    await side.do("DELETE", f"/tracking-links/{made}", status=204)
    assert (await side.send("GET", f"/tracking-links/{made}/users")).status == 404


async def test_agencies(fake: FakeFanvue, own: Judged) -> None:
    """The chats of all creators; rows that a test put in, by creator and day; the team."""
    anna, bella = fake.creators.add(handle="anna"), fake.creators.add(handle="bella")
    fake.creator(anna).chats.receive(user(1))
    fake.creator(bella).chats.open(user(2))
    chats = (await own.get("/agencies/chats"))["data"]
    assert [row["creatorUuid"] for row in chats] == [anna, bella]
    agencies = fake.agencies
    for creator in (anna, bella):
        row: dict[str, Any] = {"creatorUuid": creator, "date": "2026-01-05"}
        agencies.earnings.append({**row, "gross": 5, "net": 4, "currency": None})
        counts = {"newSubscribersCount": 1, "cancelledSubscribersCount": 0, "total": 1}
        agencies.subscribers_history.append({**row, **counts})
        about = {"creatorUuid": creator, "subscribedAt": fake.world.moment(), "expiresAt": None}
        agencies.subscribers.append({**fake.users[user(1)], **about})
    query = {"startDate": "2026-01-05T00:00:00Z", "endDate": "2026-01-06T00:00:00Z"}
    before = {"startDate": "2026-01-04T00:00:00Z", "endDate": "2026-01-05T00:00:00Z"}
    for path in ("/agencies/earnings", "/agencies/subscribers-history"):
        assert len((await own.get(path, **query))["data"]) == 2
        assert len((await own.get(path, **query, creatorUuids=anna))["data"]) == 1
        assert (await own.get(path, **before))["data"] == []
        assert (await own.send("GET", path)).json()["errors"] == [
            "startDate is required",
            "endDate is required",
        ]
    assert (
        len((await own.get("/agencies/subscribers", creatorUuids=f"{bella},{anna}"))["data"]) == 2
    )
    assert (await own.get("/agencies/insights/chatter-leaderboard"))["data"] == []
    chatter = agencies.add_member("chatter@example.com")
    names = ("messages", "ppvsSent", "ppvsUnlocked", "revenue", "goldenRatio", "unlockRatio")
    row = {"chatterUuid": chatter, "chatterName": "C", "avatarUrl": None, "avgResponseMs": None}
    agencies.chatters.append({**row, **dict.fromkeys((*names, "activeHours", "eph"), 0)})
    board = "/agencies/insights/chatter-leaderboard"
    for asked, count in ((chatter, 1), (user(1), 0)):
        assert len((await own.get(board, chatterUuids=asked))["data"]) == count
    body: dict[str, Any] = {"creatorUuids": [anna], "nickname": "Chat"}
    for changes in (body, {"creatorUuids": None}):
        path = f"/agencies/team-members/{chatter}"
        member = await own.do("PUT", path, changes, status=200)
        assert (member["nickname"], len(member["creatorAccess"])) == ("Chat", 1)
    await own.do("PUT", f"/agencies/team-members/{user(1)}", body, status=404)
    assert len((await own.send("GET", "/agencies/team-members")).json()) == 1
    for path in ("/agencies/invites", "/agencies/creator-invites"):
        await own.do("POST", path, {"email": "new@example.com"}, status=200)
        await own.do("POST", path, {"email": "new"}, status=400)
    assert agencies.invited == ["new@example.com"] * 2


async def test_apps(fake: FakeFanvue, own: Judged) -> None:
    """An app shows that nobody subscribes until a test says otherwise; others are not found."""
    app = fake.apps.add("Bot")
    fake.apps.add(uuid=user(5))
    mine = await own.get(f"/apps/{app}/subscription/me")
    assert (mine["status"], mine["userUuid"]) == ("none", fake.uuid)
    fake.apps.states[app]["overallStatus"] = "active"
    state = await own.get(f"/apps/{app}/subscription-status")
    assert (state["appName"], state["overallStatus"]) == ("Bot", "active")
    assert (await own.send("GET", f"/apps/{user(1)}/subscription/me")).status == 404
