"""Custom and smart lists of fans."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import attrs

from fanvue_async.testing.exchange import RefusedError, look_up, missing, page
from fanvue_async.testing.routes import Access, Call, Route, Routes
from fanvue_async.testing.users import Row, new_uuid, uuid_of
from fanvue_async.testing.values import PAGE, Parameter, body, list_of, one_of, text
from fanvue_async.testing.values import uuid as a_uuid

if TYPE_CHECKING:
    from fanvue_async.testing.fans import Fans, Relation

SMART: Mapping[str, tuple[str, Callable[[Relation], object]]] = {
    "subscribers": ("Subscribers", lambda r: r.subscribed_at),
    "auto_renewing": ("Auto-renewing", lambda r: r.subscribed_at and r.renews),
    "non_renewing": ("Non-renewing", lambda r: r.subscribed_at and not r.renews),
    "followers": ("Followers", lambda r: r.followed_at and not r.subscribed_at),
    "free_trial_subscribers": ("Free trial", lambda r: r.subscribed_at and r.is_on_trial),
    "expired_subscribers": ("Expired", lambda r: r.is_expired),
    "spent_more_than_50": ("Spent more than $50", lambda r: r.spent > 5000),  # noqa: PLR2004 - cents
    "muted": ("Muted", lambda r: r.is_muted),
}


@attrs.define
class _List:
    uuid: str
    name: str
    created_at: str
    members: list[str] = attrs.field(factory=list[str])

    def row(self) -> Row:
        return {"uuid": self.uuid, "name": self.name, "createdAt": self.created_at}


class CustomLists:
    """As ``fake.custom_lists``."""

    def __init__(self, fans: Fans) -> None:
        self._fans = fans
        self._lists: dict[str, _List] = {}

    def add(self, name: str, members: Iterable[UUID | str] = ()) -> str:
        """Make a list. Returns its UUID."""
        made = _List(new_uuid(), name, self._fans.owner.world.moment())
        made.members += [uuid_of(user) for user in members]
        self._lists[made.uuid] = made
        return made.uuid

    def members(self, uuid: UUID | str) -> list[str]:
        """Return the UUIDs of a list's members; an unknown list is empty."""
        found = self._lists.get(uuid_of(uuid))
        return found.members if found else []

    def _get(self, call: Call) -> _List:
        return look_up(self._lists, call.path["uuid"], "List")

    def _check_name(self, name: str, but: _List | None = None) -> None:
        if any(each.name == name and each is not but for each in self._lists.values()):
            raise RefusedError.saying(409, "A list with this name exists already")

    def page(self, call: Call) -> Any:
        """GET /chats/lists/custom."""
        search = (call.query.get("search") or "").lower()
        found = [each for each in self._lists.values() if search in each.name.lower()]
        rows = [{**each.row(), "membersCount": len(each.members)} for each in found]
        return page(rows, call.query)

    def create(self, call: Call) -> Any:
        """POST /chats/lists/custom."""
        self._check_name(call.body["name"])
        return self._lists[self.add(call.body["name"])].row()

    def rename(self, call: Call) -> None:
        """PATCH /chats/lists/custom/{uuid}."""
        found = self._get(call)
        self._check_name(call.body["name"], but=found)
        found.name = call.body["name"]

    def delete(self, call: Call) -> None:
        """DELETE /chats/lists/custom/{uuid}."""
        del self._lists[self._get(call).uuid]

    def members_page(self, call: Call) -> Any:
        """GET /chats/lists/custom/{uuid}."""
        return members_page(self._fans, self._get(call).members, call)

    def add_members(self, call: Call) -> Any:
        """POST /chats/lists/custom/{uuid}/members."""
        members = self._get(call).members
        new = [user for user in dict.fromkeys(call.body["userUuids"]) if user not in members]
        members += new
        return {"added": len(new), "skipped": len(call.body["userUuids"]) - len(new)}

    def remove_member(self, call: Call) -> None:
        """DELETE /chats/lists/custom/{uuid}/members/{userUuid}."""
        members = self._get(call).members
        if call.path["userUuid"] not in members:
            raise missing("Member")
        members.remove(call.path["userUuid"])


class SmartLists:
    """As ``fake.smart_lists``: who is in them follows from what happened."""

    def __init__(self, fans: Fans) -> None:
        self._fans = fans

    def members(self, name: str) -> list[str]:
        """Return the UUIDs of a list's members."""
        return self._fans.having(SMART[name][1])

    def all(self, _: Call) -> Any:
        """GET /chats/lists/smart."""
        return [
            {"name": title, "uuid": name, "count": len(self.members(name))}
            for name, (title, _) in SMART.items()
        ]

    def members_page(self, call: Call) -> Any:
        """GET /chats/lists/smart/{uuid}."""
        if call.path["uuid"] not in SMART:
            raise RefusedError.invalid(f"uuid must be one of {', '.join(SMART)}")
        return members_page(self._fans, self.members(call.path["uuid"]), call)


def members_page(fans: Fans, users: list[str], call: Call) -> Any:
    """Give one page of members."""
    known = fans.owner.world.users
    rows = [
        {
            "uuid": user,
            "displayName": known[user]["displayName"],
            "handle": known[user]["handle"],
            "isCreator": known.is_creator(user),
        }
        for user in users
    ]
    return page(rows, call.query)


SELECTION = {
    "smartListUuids": list_of(one_of(*SMART)),
    "customListUuids": list_of(a_uuid),
}
"""Fields that choose lists."""

_NAME = body({"name": text(1, 100)})
_USERS = body({"userUuids": list_of(a_uuid, 1, 100)})
_ALL, _ONE = "/chats/lists/custom", "/chats/lists/custom/{uuid}"
_READ = Access("read:chat read:fan", "read:creator")
_READ_UV = Access("read:chat read:fan", "read:creator", creator_errors="UV")
_SEARCH = {**PAGE, "search": Parameter(text())}
_WRITE = Access("write:chat")

CUSTOM_LISTS: Routes = (
    CustomLists,
    (
        Route("GET", _ALL, CustomLists.page, _READ_UV, query=_SEARCH, creator_query=PAGE),
        Route("POST", _ALL, CustomLists.create, _WRITE, status=201, body=_NAME),
        Route("GET", _ONE, CustomLists.members_page, _READ, errors="UVI", query=PAGE),
        Route("PATCH", _ONE, CustomLists.rename, _WRITE, errors="UVI", status=204, body=_NAME),
        Route("DELETE", _ONE, CustomLists.delete, _WRITE, errors="UVI", status=204),
        Route(
            "POST",
            f"{_ONE}/members",
            CustomLists.add_members,
            _WRITE,
            errors="UVI",
            status=201,
            body=_USERS,
        ),
        Route(
            "DELETE",
            f"{_ONE}/members/{{userUuid}}",
            CustomLists.remove_member,
            _WRITE,
            errors="UVI",
            status=204,
        ),
    ),
)
SMART_LISTS: Routes = (
    SmartLists,
    (
        Route("GET", "/chats/lists/smart", SmartLists.all, _READ_UV),
        Route(
            "GET",
            "/chats/lists/smart/{uuid}",
            SmartLists.members_page,
            _READ_UV,
            texts=frozenset({"uuid"}),
            query=PAGE,
        ),
    ),
)
