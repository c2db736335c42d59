"""Both forms of the API on a fake server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
import pytest
from support.judged import Judged

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fanvue_async.testing import FakeFanvue


@pytest.fixture
async def own(fake: FakeFanvue) -> AsyncIterator[Judged]:
    """Call the own form."""
    async with aiohttp.ClientSession() as session:
        yield Judged(fake, fake, session)


@pytest.fixture(params=["own", "creator"])
async def side(fake: FakeFanvue, request: pytest.FixtureRequest) -> AsyncIterator[Judged]:
    """Call the own form, then that of a creator."""
    async with aiohttp.ClientSession() as session:
        if request.param == "own":
            yield Judged(fake, fake, session)
        else:
            creator = fake.creators.add(handle="anna")
            yield Judged(fake, fake.creator(creator), session, f"/creators/{creator}")
