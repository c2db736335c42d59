"""A user's program that calls every method, for mypy and pyright: each result has its type.

Nothing here runs; ``test_user_code.py`` sees to it that no method is forgotten.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, assert_type
from uuid import UUID

import fanvue_async as fv
from fanvue_async import CreatorClient, Listing, ListSelection, UploadPart

if TYPE_CHECKING:
    from fanvue_async import FanvueClient

USER = UUID("3fa85f64-5717-4562-b3fc-2c963f66afa6")
TEXT = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
NOW = datetime.now(UTC)
SUBSCRIBERS = ListSelection(smart_list_uuids=["subscribers"], custom_list_uuids=[USER])


async def chats(client: FanvueClient) -> None:
    """Open chats, find them, look at them."""
    assert_type(await client.chats.create(USER), fv.CreatedChat)
    assert_type(await client.chats.update(TEXT, is_read=True, is_muted=False, nickname=""), None)
    assert_type(client.chats.media(USER, media_type="image"), Listing[fv.ChatMedia])
    assert_type(await client.chats.unread(), fv.UnreadCounts)
    assert_type(await client.chats.statuses([USER, TEXT]), dict[str, fv.OnlineStatus])
    assert_type(await client.chats.typing(USER, is_typing=False), None)
    assert_type(
        client.chats.list(
            filter=["unread", "not_muted"],
            search="anna",
            custom_list_id=USER,
            smart_list_ids=["subscribers"],
            sort_by="online_now",
            page_size=10,
        ),
        Listing[fv.Chat],
    )
    async for chat in client.chats.list():
        assert_type(chat.user, fv.FanUser)
        assert_type(chat.is_read, bool)
        assert_type(chat.last_message, fv.LastMessage | None)
    async for page in client.chats.list().pages():
        assert_type(page.items, tuple[fv.Chat, ...])
        assert_type(page.next, str | None)
    assert_type(await client.chats.list(start="p2.50").collect(limit=3), list[fv.Chat])


async def messages(client: FanvueClient) -> None:
    """Read and write."""
    sent = await client.messages.send(USER, text="Hi", media_uuids=[TEXT], price=300, confirm=False)
    assert_type(sent, fv.SentMessage)
    assert_type(await client.messages.send(USER, template_uuid=TEXT), fv.SentMessage)
    media = await client.messages.media(USER, TEXT, [USER], variants=["main"])
    assert_type(media.results, dict[str, fv.ChatMedia | None])
    assert_type(client.messages.list(USER, mark_as_read=True), Listing[fv.Message])
    assert_type(await client.messages.delete(USER, TEXT), None)
    batch = await client.messages.batch([USER], limit=5, since_message_uuid=USER)
    assert_type(batch.by_chat, dict[str, fv.ChatMessages])
    async for message in client.messages.list(USER):
        if message.type == fv.MessageType.TIP and message.pricing is not None:
            assert_type(message.pricing.usd.price, fv.Cents)
            assert_type(message.pricing.usd.price.dollars, Decimal)
            assert_type(message.pricing.usd.price * 2, fv.Cents)
        assert_type(message.sent_at, datetime | None)
        assert_type(message.media_uuids, tuple[str, ...])


async def mass_messages(client: FanvueClient) -> None:
    """Write to many."""
    assert_type(
        await client.mass_messages.send(
            SUBSCRIBERS,
            excluded_lists=ListSelection(smart_list_uuids=("muted",)),
            text="Hi",
            media_uuids=[USER],
            price=fv.Cents(500),
            scheduled_at=NOW,
        ),
        fv.SentMassMessage,
    )
    assert_type(
        await client.mass_messages.update(
            USER,
            included_lists=SUBSCRIBERS,
            excluded_lists=SUBSCRIBERS,
            text="",
            media_uuids=[],
            price=None,
            scheduled_at=NOW,
        ),
        None,
    )
    assert_type(await client.mass_messages.delete(USER), None)
    assert_type(client.mass_messages.list(include_deleted=True), Listing[fv.MassMessage])


async def lists(client: FanvueClient) -> None:
    """Keep lists of users, and the templates."""
    assert_type(client.custom_lists.list(search="vip"), Listing[fv.CustomList])
    assert_type(client.custom_lists.members(USER), Listing[fv.ListMember])
    assert_type(await client.custom_lists.create("vip"), fv.CreatedCustomList)
    assert_type(await client.custom_lists.rename(USER, "vips"), None)
    assert_type(await client.custom_lists.delete(USER), None)
    assert_type(await client.custom_lists.add_members(USER, [TEXT]), fv.AddedMembers)
    assert_type(await client.custom_lists.remove_member(USER, TEXT), None)
    assert_type(client.smart_lists.list(), Listing[fv.SmartList])
    assert_type(client.smart_lists.members("a new one"), Listing[fv.ListMember])
    assert_type(client.templates.list(folder_name="a"), Listing[fv.TemplateMessage])
    assert_type(await client.templates.get(USER), fv.TemplateMessage)


async def people(client: FanvueClient) -> None:
    """Look at accounts and who follows them."""
    assert_type(await client.users.me(), fv.CurrentUser)
    assert_type((await client.users.account()).account.earnings.total, fv.Cents)
    assert_type(client.followers.list(), Listing[fv.FanUser])
    assert_type(
        client.subscribers.list(sort_field="name", sort_direction="asc"), Listing[fv.FanUser]
    )
    assert_type(
        client.notifications.list(event_type=fv.NotificationType.TIP), Listing[fv.Notification]
    )
    assert_type(client.creators.list(), Listing[fv.AgencyCreator])


async def posts(client: FanvueClient) -> None:
    """Publish, and sort what was published."""
    created = await client.posts.create("subscribers", text="Hi", publish_at=NOW)
    assert_type(created, fv.CreatedPost)
    assert_type(await client.posts.get(USER), fv.Post)
    assert_type(await client.posts.update(USER, price=None, collection_uuids=None), fv.Post)
    assert_type(await client.posts.delete(USER), None)
    assert_type(await client.posts.pin(USER), fv.Post)
    assert_type(await client.posts.unpin(USER), fv.Post)
    assert_type(await client.posts.repost(USER), fv.Post)
    assert_type(client.posts.comments(USER), Listing[fv.PostComment])
    assert_type(await client.posts.add_comment(USER, "Hi"), fv.CreatedComment)
    assert_type(await client.posts.delete_comment(USER, TEXT), None)
    assert_type(client.posts.list(include_unpublished=False), Listing[fv.Post])
    assert_type(client.posts.likes(USER), Listing[fv.PostLike])
    assert_type(client.posts.tips(USER), Listing[fv.PostTip])
    assert_type(client.collections.list(), Listing[fv.Collection])
    assert_type(await client.collections.create("a"), fv.Collection)
    assert_type(await client.collections.rename(USER, "b"), None)
    assert_type(await client.collections.delete(USER), None)


async def media(client: FanvueClient) -> None:
    """Upload, find, sort, grant."""
    assert_type(client.media.list(status=["ready"], variants=["main"]), Listing[fv.Media])
    assert_type(await client.media.get(USER, purchased_by=USER), fv.Media)
    assert_type(
        await client.media.upload(b"", name="a", media_type="image", wait_until_ready=True),
        fv.UploadedMedia,
    )
    session = await client.media.create_upload("a", "a.jpg", "image", size_bytes=3)
    assert_type(session, fv.UploadSession)
    assert_type(await client.media.upload_part_url(session.upload_id, 1), str)
    parts = [UploadPart(1, "etag")]
    assert_type(await client.media.complete_upload(session.upload_id, parts), fv.UploadCompleted)
    assert_type(await client.media.get_many([USER]), fv.BulkMedia)
    assert_type(await client.media.entitled(USER, TEXT), fv.Media)
    assert_type(await client.media.grant(USER, TEXT, "shop", "order-1"), fv.GrantedMedia)
    assert_type(await client.media.link_purchased(USER), fv.MediaLinkPurchase)
    assert_type(await client.media.update(USER, caption="x"), None)
    assert_type(await client.media.delete(USER), None)
    assert_type(client.vault.folders(), Listing[fv.VaultFolder])
    assert_type(await client.vault.create_folder("a/b"), fv.VaultFolder)
    assert_type(await client.vault.get_folder("a/b"), fv.VaultFolder)
    assert_type(await client.vault.rename_folder("a/b", "c"), None)
    assert_type(await client.vault.delete_folder("c"), None)
    assert_type(client.vault.media("c"), Listing[fv.VaultFolderMedia])
    assert_type(await client.vault.attach("c", [USER]), fv.AttachedMedia)
    assert_type(await client.vault.detach("c", USER), None)


async def insights(client: FanvueClient) -> None:
    """Count money and people."""
    assert_type(client.insights.earnings(start_date=NOW, source=["tip"]), Listing[fv.Earning])
    assert_type(await client.insights.earnings_summary(granularity="week"), fv.EarningsSummary)
    assert_type(client.insights.subscribers(end_date=NOW), Listing[fv.SubscriberCount])
    assert_type(client.insights.top_spenders(), Listing[fv.TopSpender])
    assert_type(await client.insights.percentile(), fv.EarningsPercentile)
    assert_type(client.insights.spending(source=["refund"]), Listing[fv.Spending])
    assert_type(await client.insights.fan(USER), fv.FanInsights)
    assert_type(await client.insights.fans([USER]), fv.BulkFanInsights)
    assert_type(await client.insights.fans_batch([USER]), dict[str, fv.FanInsightsOrError])
    assert_type(client.tracking_links.list(created_after=NOW), Listing[fv.TrackingLink])
    assert_type(await client.tracking_links.create("a", "reddit"), fv.TrackingLink)
    assert_type(await client.tracking_links.delete(USER), None)
    assert_type(client.tracking_links.users(USER), Listing[fv.TrackingLinkUser])
    assert_type(await client.tracking_links.user_metadata(USER, TEXT), fv.TrackingMetadata)


async def agencies(client: FanvueClient) -> None:
    """Run an agency, and an app."""
    assert_type(client.agencies.chats(), Listing[fv.AgencyChat])
    assert_type(client.agencies.earnings(NOW, NOW), Listing[fv.AgencyEarningDay])
    assert_type(client.agencies.subscribers(creator_uuids=[USER]), Listing[fv.AgencySubscriber])
    assert_type(client.agencies.subscribers_history(NOW, NOW), Listing[fv.AgencySubscriberDay])
    assert_type(await client.agencies.chatter_leaderboard(), fv.ChatterLeaderboard)
    assert_type(await client.agencies.invite_creator("a@example.com"), fv.CreatorInvite)
    assert_type(await client.agencies.invite("a@example.com"), fv.AgencyInvite)
    assert_type(client.agencies.team_members(), Listing[fv.TeamMember])
    assert_type(await client.agencies.update_team_member(USER, None), fv.TeamMember)
    assert_type(await client.apps.my_subscription(USER), fv.AppSubscription)
    assert_type(await client.apps.subscription_status(USER), fv.AppSubscriptionStatus)


async def for_a_creator(client: FanvueClient) -> None:
    """Do the same for a creator, where the API has it."""
    creator = client.creator(USER)
    assert_type(creator, CreatorClient)
    assert_type(await creator.account(), fv.Account)
    assert_type(await creator.subscribers.online(limit=5), fv.OnlineSubscribers)
    assert_type(creator.chats.list(), Listing[fv.Chat])
    assert_type(await creator.messages.send(USER, text="Hi"), fv.SentMessage)
    assert_type(creator.custom_lists.list(), Listing[fv.CustomList])
    assert_type(creator.with_options(timeout=5), CreatorClient)
    assert_type(await creator.request("GET", "/chats"), fv.Response)


async def mistakes(client: FanvueClient) -> None:
    """Both checkers refuse each of these lines, or complain of its comment: hence all of these."""
    creator = client.creator(USER)
    await creator.chats.unread()  # type: ignore[attr-defined]
    await creator.messages.delete(USER, USER)  # type: ignore[attr-defined]
    creator.chats.list(filter=["unread"])  # type: ignore[call-arg]
    creator.subscribers.list(sort_field="name")  # type: ignore[call-arg]
    creator.templates  # type: ignore[attr-defined] # noqa: B018
    await client.subscribers.online()  # type: ignore[attr-defined]
    client.chats.list(filter="unread")  # type: ignore[arg-type]
    client.chats.list(filter=["unred"])  # type: ignore[list-item]
    await client.chats.update(USER, is_read=None)  # type: ignore[arg-type]
    await client.messages.send(USER, media_uuids=[USER], price=3.5)  # type: ignore[arg-type]
    await client.messages.send(USER, test="Hi")  # type: ignore[call-arg]
    await client.messages.send(USER, "Hi")  # type: ignore[call-arg]
    fv.Mesage  # type: ignore[attr-defined] # noqa: B018
