"""The servers of the stores' tests, each started once."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from support.programs import EXAMPLES
from support.servers import DURABLE, RedisServer, postgres_server, redis_server

if TYPE_CHECKING:
    from collections.abc import Generator

sys.path.insert(0, str(EXAMPLES))


@pytest.fixture(scope="session")
def redis() -> Generator[RedisServer]:
    """Run a Redis with the settings that keep what it confirmed."""
    with redis_server(*DURABLE) as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Generator[str]:
    """Run a PostgreSQL."""
    with postgres_server() as url:
        yield url
