"""An application on a fake authorization server."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
from support.sign_ins import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fanvue_async.testing import FakeFanvue


@pytest.fixture
async def world(fake: FakeFanvue) -> AsyncIterator[World]:
    """Give the world."""
    async with AsyncExitStack() as stack:
        yield World(fake, stack)
