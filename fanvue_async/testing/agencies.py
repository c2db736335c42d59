"""What an agency sees of all its creators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fanvue_async.testing.exchange import missing, page
from fanvue_async.testing.insights import chosen
from fanvue_async.testing.routes import Access, Call, Route, Routes
from fanvue_async.testing.users import Row, new_uuid
from fanvue_async.testing.values import (
    PAGE,
    Parameter,
    body,
    email,
    list_of,
    moment,
    nullable,
    text,
)
from fanvue_async.testing.values import uuid as a_uuid


class Agencies:
    """As ``fake.agencies``: rows in the API's names, newest first, for tests to fill.

    Args:
        chats: gives the rows of ``GET /agencies/chats``.

    """

    def __init__(self, chats: Callable[[], list[Row]]) -> None:
        self._chats = chats
        self.earnings: list[Row] = []
        """Rows of ``GET /agencies/earnings``."""
        self.subscribers: list[Row] = []
        """Rows of ``GET /agencies/subscribers``."""
        self.subscribers_history: list[Row] = []
        """Rows of ``GET /agencies/subscribers-history``."""
        self.chatters: list[Row] = []
        """Rows of ``GET /agencies/insights/chatter-leaderboard``."""
        self.team: list[Row] = []
        """What ``GET /agencies/team-members`` shows."""
        self.invited: list[str] = []
        """The e-mail addresses that were invited."""

    def add_member(self, email: str, *, is_admin: bool = False) -> str:
        """Add a team member. Returns their UUID."""
        uuid = new_uuid()
        member: Row = {
            "uuid": uuid,
            "isAdmin": is_admin,
            "nickname": None,
            "email": email,
            "displayName": email.partition("@")[0],
            "creatorAccess": [],
        }
        self.team.append(member)
        return uuid

    def chats(self, call: Call) -> Any:
        """GET /agencies/chats: those of all creators."""
        return page(self._chats(), call.query)

    def earnings_page(self, call: Call) -> Any:
        """GET /agencies/earnings."""
        return page(_of_creators(chosen(self.earnings, call.query), call), call.query)

    def subscribers_page(self, call: Call) -> Any:
        """GET /agencies/subscribers."""
        return page(_of_creators(self.subscribers, call), call.query)

    def history_page(self, call: Call) -> Any:
        """GET /agencies/subscribers-history."""
        return page(_of_creators(chosen(self.subscribers_history, call.query), call), call.query)

    def leaderboard(self, call: Call) -> Any:
        """GET /agencies/insights/chatter-leaderboard."""
        asked = call.query["chatterUuids"]
        return {"data": [row for row in self.chatters if not asked or row["chatterUuid"] in asked]}

    def invite_creator(self, call: Call) -> Any:
        """POST /agencies/creator-invites."""
        self.invited.append(call.body["email"])
        return {"success": True, "message": "Invitation sent"}

    def invite(self, call: Call) -> Any:
        """POST /agencies/invites."""
        return {**self.invite_creator(call), "inviteUuid": new_uuid()}

    def members(self, _: Call) -> Any:
        """GET /agencies/team-members."""
        return self.team

    def update_member(self, call: Call) -> Any:
        """PUT /agencies/team-members/{userId}."""
        for member in self.team:
            if member["uuid"] == call.path["userId"]:
                member["nickname"] = call.body.get("nickname", member["nickname"])
                creators = call.body["creatorUuids"]
                if creators is not None:
                    access = [{"uuid": uuid, "role": "CHATTER"} for uuid in creators]
                    member["creatorAccess"] = access
                return member
        raise missing("Team member")


def _of_creators(rows: list[Row], call: Call) -> list[Row]:
    asked = call.query["creatorUuids"]
    return [row for row in rows if not asked or row["creatorUuid"] in asked]


_CREATORS = {**PAGE, "creatorUuids": Parameter(a_uuid, many="commas", most=50)}
_DAYS = {
    **_CREATORS,
    "startDate": Parameter(moment, required=True),
    "endDate": Parameter(moment, required=True),
}
_BOARD = {
    "startDate": Parameter(moment),
    "endDate": Parameter(moment),
    "chatterUuids": Parameter(a_uuid, many="commas", most=100),
}
_EMAIL = body({"email": email})
_MEMBER = body({"creatorUuids": nullable(list_of(a_uuid))}, nickname=nullable(text()))
_READ, _WRITE = Access("read:agency"), Access("write:agency")
_READ_CHATS = Access("read:agency read:chat")
_READ_CREATORS = Access("read:agency read:creator")
_ALL = "/agencies"

AGENCIES: Routes = (
    Agencies,
    (
        Route("GET", f"{_ALL}/chats", Agencies.chats, _READ_CHATS, query=PAGE),
        Route("GET", f"{_ALL}/earnings", Agencies.earnings_page, _READ_CREATORS, query=_DAYS),
        Route(
            "GET", f"{_ALL}/subscribers", Agencies.subscribers_page, _READ_CREATORS, query=_CREATORS
        ),
        Route(
            "GET", f"{_ALL}/subscribers-history", Agencies.history_page, _READ_CREATORS, query=_DAYS
        ),
        Route(
            "GET", f"{_ALL}/insights/chatter-leaderboard", Agencies.leaderboard, _READ, query=_BOARD
        ),
        Route("POST", f"{_ALL}/creator-invites", Agencies.invite_creator, _WRITE, body=_EMAIL),
        Route("POST", f"{_ALL}/invites", Agencies.invite, _WRITE, body=_EMAIL),
        Route("GET", f"{_ALL}/team-members", Agencies.members, _READ, errors="UVI"),
        Route(
            "PUT",
            f"{_ALL}/team-members/{{userId}}",
            Agencies.update_member,
            _WRITE,
            errors="UVI",
            body=_MEMBER,
        ),
    ),
)
