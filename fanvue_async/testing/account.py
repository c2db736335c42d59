"""Everything that belongs to one account, and the routes to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fanvue_async.testing.chats import CHATS, Chats
from fanvue_async.testing.fans import FOLLOWERS, SUBSCRIBERS, Fans, Followers, Subscribers
from fanvue_async.testing.insights import Insights
from fanvue_async.testing.lists import CUSTOM_LISTS, SMART_LISTS, CustomLists, SmartLists
from fanvue_async.testing.mass_messages import MASS_MESSAGES, MassMessages
from fanvue_async.testing.media import Media
from fanvue_async.testing.messages import MESSAGES, Messages
from fanvue_async.testing.notifications import NOTIFICATIONS, Notifications
from fanvue_async.testing.profiles import CREATORS, PROFILE, Creators, Profile
from fanvue_async.testing.templates import TEMPLATES, Templates
from fanvue_async.testing.vault import VAULT, Vault

if TYPE_CHECKING:
    from fanvue_async.testing.world import Owner

ROUTES = (
    CHATS,
    MESSAGES,
    MASS_MESSAGES,
    CUSTOM_LISTS,
    SMART_LISTS,
    TEMPLATES,
    PROFILE,
    FOLLOWERS,
    SUBSCRIBERS,
    NOTIFICATIONS,
    CREATORS,
    VAULT,
)


class Account:
    """One account: the fake's own as ``fake`` itself, a creator's as ``fake.creator(uuid)``."""

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.fans = Fans(owner)
        self.followers = Followers(self.fans)
        self.subscribers = Subscribers(self.fans)
        self.notifications = Notifications(owner)
        self.templates = Templates()
        self.media = Media(owner)
        self.vault = Vault(owner, self.media)
        self.insights = Insights(self.fans)
        self.me = Profile(self.fans, self.insights)
        self.custom_lists = CustomLists(self.fans)
        self.smart_lists = SmartLists(self.fans)
        self.mass_messages = MassMessages(owner, custom=self.custom_lists, smart=self.smart_lists)
        self.chats = Chats(
            self.fans,
            custom=self.custom_lists,
            smart=self.smart_lists,
            media=self.media,
            notifications=self.notifications,
        )
        self.messages = Messages(
            self.chats, templates=self.templates, media=self.media, insights=self.insights
        )
        self.creators = Creators(owner.world)
        self._by_type: dict[type[Any], Any] = {type(noun): noun for noun in vars(self).values()}

    @property
    def uuid(self) -> str:
        """The UUID of the account's user."""
        return self.owner.uuid

    def noun(self, of: type[Any]) -> Any:
        """Return the state of a noun, by its class."""
        return self._by_type[of]
