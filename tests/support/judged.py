"""Requests to the fake by hand, each answer of which the contract must allow."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import attrs

from support.by_hand import Answer, changed
from support.judge import the_judge

if TYPE_CHECKING:
    from collections.abc import Mapping

    import aiohttp

    from fanvue_async.testing import FakeFanvue
    from fanvue_async.testing.account import Account

JUDGE = the_judge()


@attrs.define
class Judged:
    """One form of the API: the own account's, or that of a creator."""

    fake: FakeFanvue
    account: Account
    session: aiohttp.ClientSession
    prefix: str = ""
    token: str = "fake-token"

    async def send(
        self, method: str, path: str, body: Any = None, query: Mapping[str, Any] | None = None
    ) -> Answer:
        """Send a request; refuse a response that the operation does not declare."""
        target = self.prefix + path + (f"?{urlencode(query, doseq=True)}" if query else "")
        content = b"" if body is None else json.dumps(body).encode()
        headers = changed({"Authorization": f"Bearer {self.token}"})
        async with self.session.request(
            method, self.fake.url + target, headers=headers, data=content, allow_redirects=False
        ) as response:
            answer = Answer(response.status, response.headers.copy(), await response.read())
        JUDGE.check_answer(answer, method=method, path=target)
        return answer

    async def get(self, path: str, **query: Any) -> Any:
        """Read."""
        answer = await self.send("GET", path, query=query)
        assert answer.status == 200, answer.content
        return answer.json()

    async def do(self, method: str, path: str, body: Any = None, *, status: int) -> Any:
        """Do something, and return what the response says, None without a body."""
        answer = await self.send(method, path, body)
        assert answer.status == status, answer.content
        return answer.json() if answer.content else None
