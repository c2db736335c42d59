"""Everything that belongs to one account, and the routes to it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fanvue_async.testing.apps import APPS, Apps
from fanvue_async.testing.chat_list import CHAT_LIST, ChatList
from fanvue_async.testing.chats import CHATS, Chats
from fanvue_async.testing.fans import FOLLOWERS, SUBSCRIBERS, Fans, Followers, Subscribers
from fanvue_async.testing.insights import INSIGHTS, Insights
from fanvue_async.testing.library import LIBRARY, Library
from fanvue_async.testing.lists import CUSTOM_LISTS, SMART_LISTS, CustomLists, SmartLists
from fanvue_async.testing.mass_messages import MASS_MESSAGES, MassMessages
from fanvue_async.testing.media import Media
from fanvue_async.testing.messages import MESSAGES, Messages
from fanvue_async.testing.notifications import NOTIFICATIONS, Notifications
from fanvue_async.testing.post_collections import COLLECTIONS, Collections
from fanvue_async.testing.posts import POSTS, Posts
from fanvue_async.testing.profiles import PROFILE, Profile
from fanvue_async.testing.reactions import REACTIONS, Reactions
from fanvue_async.testing.templates import TEMPLATES, Templates
from fanvue_async.testing.tracking_links import TRACKING_LINKS, TrackingLinks
from fanvue_async.testing.uploads import UPLOADS, Uploads
from fanvue_async.testing.vault import VAULT, Vault
from fanvue_async.testing.world import Owner

ROUTES = (
    CHATS,
    CHAT_LIST,
    MESSAGES,
    MASS_MESSAGES,
    CUSTOM_LISTS,
    SMART_LISTS,
    TEMPLATES,
    PROFILE,
    FOLLOWERS,
    SUBSCRIBERS,
    NOTIFICATIONS,
    POSTS,
    REACTIONS,
    COLLECTIONS,
    LIBRARY,
    UPLOADS,
    VAULT,
    INSIGHTS,
    TRACKING_LINKS,
    APPS,
)


class Account:
    """One account: the fake's own as ``fake`` itself, a creator's as ``fake.creator(uuid)``."""

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.fans: Fans = Fans(owner)
        self.followers: Followers = Followers(self.fans)
        self.subscribers: Subscribers = Subscribers(self.fans)
        self.notifications: Notifications = Notifications(owner)
        self.templates: Templates = Templates()
        self.media: Media = Media(owner)
        self.vault: Vault = Vault(owner, self.media)
        self.library: Library = Library(self.media, self.vault)
        self.uploads: Uploads = Uploads(self.media, owner.world.storage)
        self.insights: Insights = Insights(self.fans)
        self.collections: Collections = Collections(owner)
        self.posts: Posts = Posts(owner, self.collections)
        self.reactions: Reactions = Reactions(self.posts, self.fans, self.insights)
        self.tracking_links: TrackingLinks = TrackingLinks(self.fans)
        self.apps: Apps = Apps(owner)
        self.me: Profile = Profile(self.fans, self.insights)
        self.custom_lists: CustomLists = CustomLists(self.fans)
        self.smart_lists: SmartLists = SmartLists(self.fans)
        self.mass_messages: MassMessages = MassMessages(
            owner, custom=self.custom_lists, smart=self.smart_lists
        )
        self.chats: Chats = Chats(self.fans, self.media)
        self.chat_list: ChatList = ChatList(
            self.chats,
            custom=self.custom_lists,
            smart=self.smart_lists,
            notifications=self.notifications,
        )
        self.messages: Messages = Messages(
            self.chats, templates=self.templates, media=self.media, insights=self.insights
        )
        self._by_type: dict[type[Any], Any] = {type(noun): noun for noun in vars(self).values()}

    @property
    def uuid(self) -> str:
        """The UUID of the account's user."""
        return self.owner.uuid

    def buy(self, message: UUID | str) -> None:
        """Let the fan pay for a message that has a price.

        Raises:
            ValueError: there is no such message, it has no price, or it is paid for already.

        """
        self.messages.buy(message)

    def has(self, noun: Any) -> None:
        """Give the account another noun."""
        self._by_type[type(noun)] = noun

    def noun(self, of: type[Any]) -> Any:
        """Return the state of a noun, by its class; None if the account lacks it."""
        return self._by_type.get(of)
