"""A response, whatever its status."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from fanvue_async.engine import wire
from fanvue_async.engine.response_headers import LimitHeaders, limit_headers

SUCCESS = range(200, 300)
"""The statuses of success."""


@attrs.define(eq=False)
class Answer:
    """A response, whatever its status."""

    status: int
    headers: Mapping[str, str]
    content: bytes = b""
    attempts: int = 0
    is_whole: bool = True
    """Whether its compressed body has an end; what decodes as JSON is whole without one."""
    limits: LimitHeaders | None = attrs.field(init=False)
    """What it says about the rate limit."""

    def __attrs_post_init__(self) -> None:
        self.limits = limit_headers(self.headers)

    def check_whole(self) -> None:
        """Refuse a compressed body without its end; what is JSON all the same misses nothing."""
        if self.is_whole:
            return
        try:
            wire.loads(self.content)
        except wire.MalformedBodyError:
            raise wire.MalformedBodyError("cut short") from None
