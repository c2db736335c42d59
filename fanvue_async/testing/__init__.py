"""A real server that behaves like the Fanvue API, for tests of bots and backends.

In a test::

    async with FakeFanvue() as fanvue, fanvue.client() as client:
        fanvue.reply(503)
        await client.chats.create("3fa85f64-5717-4562-b3fc-2c963f66afa6")
        assert len(fanvue.requests) == 2

Alone, for a program that is to be tried without the real API::

    python -m fanvue_async.testing --port 8080
"""

from fanvue_async.testing.api import API_VERSION
from fanvue_async.testing.exchange import ReceivedRequest
from fanvue_async.testing.fake import Duplicates, FakeFanvue
from fanvue_async.testing.script import DropAfter
from fanvue_async.testing.stores import check_store

__all__ = [
    "API_VERSION",
    "DropAfter",
    "Duplicates",
    "FakeFanvue",
    "ReceivedRequest",
    "check_store",
]
