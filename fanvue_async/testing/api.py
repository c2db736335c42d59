"""The checks of every request before a noun handles it: token, version, rate limit, scopes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING
from uuid import UUID

from fanvue_async.testing.account import ROUTES, Account
from fanvue_async.testing.agencies import AGENCIES
from fanvue_async.testing.exchange import RefusedError, Reply, missing
from fanvue_async.testing.oauth import OAUTH
from fanvue_async.testing.profiles import CREATORS, profile_of
from fanvue_async.testing.routes import Call, Match, Router
from fanvue_async.testing.storage import STORAGE
from fanvue_async.testing.users import Row, uuid_of
from fanvue_async.testing.world import Owner, World

if TYPE_CHECKING:
    from fanvue_async.testing.buckets import Buckets
    from fanvue_async.testing.exchange import ReceivedRequest
    from fanvue_async.testing.tokens import Tokens

API_VERSION = "2025-06-26"
"""The only version that Fanvue ever published; an earlier date counts as retired."""

ROUTER = Router((*ROUTES, AGENCIES, CREATORS, OAUTH, STORAGE))

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Accounts:
    """The fake's own account, and those of the creators that were added."""

    def __init__(self, world: World, own: Account) -> None:
        self.own = own
        self._world = world
        self._made: dict[str, Account] = {own.uuid: own}

    def of(self, user: UUID | str) -> Account:
        """Return the account of a creator, or the fake's own.

        Raises:
            ValueError: that creator was not added.

        """
        uuid = uuid_of(user)
        if uuid not in self._made:
            if uuid not in self._world.creators:
                raise ValueError(f"there is no creator {uuid}; creators.add makes one")
            self._made[uuid] = Account(owner_of(self._world, uuid))
        return self._made[uuid]

    def chats(self) -> list[Row]:
        """Return the chats of all creators, newest activity first."""
        rows = [
            {**account.chat_list.row(chat), "creatorUuid": account.uuid}
            for account in map(self.of, self._world.creators)
            for chat in account.chats.all()
        ]
        return sorted(rows, key=lambda row: row["lastMessageAt"] or "", reverse=True)


class Api:
    """The operations of all nouns."""

    def __init__(self, accounts: Accounts, tokens: Tokens, buckets: Buckets) -> None:
        self._accounts = accounts
        self._tokens = tokens
        self._buckets = buckets

    def admit(self, request: ReceivedRequest) -> tuple[Mapping[str, str], bool]:
        """Take the request out of its bucket; all without an accepted token share one."""
        found = ROUTER.find(request.method, request.path)
        if isinstance(found, Match) and found.route.access.is_open:
            return {}, True
        token = self._tokens.of_request(request.headers)
        endpoint = found.endpoint if isinstance(found, Match) else None
        holder = token.holder if token else ""
        return self._buckets.take(holder, request.path, endpoint)

    def answer(self, request: ReceivedRequest, may_pass: bool) -> Reply:  # noqa: FBT001 - a callback
        """Respond to a request; ``may_pass`` is what its bucket says."""
        found = ROUTER.find(request.method, request.path)
        try:
            if isinstance(found, Match) and found.route.access.is_open:
                return self._play(found, request, self._accounts.own)
            account = self._check(request, found, may_pass=may_pass)
            return found if isinstance(found, Reply) else self._play(found, request, account)
        except RefusedError as refused:
            return refused.reply

    def _check(self, request: ReceivedRequest, found: Match | Reply, *, may_pass: bool) -> Account:
        """Check in the order of the real API: token, version, rate limit, scopes."""
        token = self._tokens.of_request(request.headers)
        if token is None:
            raise RefusedError(Reply.of(401, {"error": "Unauthorized"}))
        check_version(request.headers.get("X-Fanvue-API-Version", ""))
        if not may_pass:
            raise RefusedError(Reply.of(429, {"error": "Rate limit exceeded"}))
        if isinstance(found, Match):
            lacking = token.lacks(found.route.needs(for_creator=found.for_creator))
            if lacking is not None:
                raise RefusedError(Reply.of(403, {"error": f"The scope {lacking} is missing"}))
        return self._accounts.of(token.user) if token.user else self._accounts.own

    def _play(self, found: Match, request: ReceivedRequest, account: Account) -> Reply:
        """Let the noun handle it."""
        path = found.read_path()
        if found.for_creator:
            try:
                account = self._accounts.of(path["creatorUserUuid"])
            except ValueError:
                raise missing("Creator") from None
        noun = account.noun(found.noun)
        if noun is None:
            raise RefusedError(Reply.of(403, {"error": "This is for agency admins"}))
        query, body = found.read(request)
        call = Call(path=path, query=query, body=body, request=request)
        document = found.route.answer(noun, call)
        if isinstance(document, Reply):
            return document
        if document is None:
            return Reply.with_body(found.route.status, b"", "")
        return Reply.of(found.route.status, document)


def owner_of(world: World, uuid: str) -> Owner:
    """Make the owner of an account from what others see of them."""
    return Owner(world, profile_of(world.users[uuid], world.moment()))


def check_version(version: str) -> None:
    """Refuse a version that is not served: an earlier date as retired, others as unknown."""
    if version == API_VERSION:
        return
    if _DATE.fullmatch(version) and version < API_VERSION:
        document = {
            "error": "API version sunset",
            "message": f"Version {version} is no longer available",
            "nextVersion": API_VERSION,
        }
        raise RefusedError(Reply.of(410, document))
    document = {
        "error": "Unsupported API version",
        "message": f"X-Fanvue-API-Version must be {API_VERSION}",
    }
    raise RefusedError(Reply.of(400, document))
