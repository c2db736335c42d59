"""An API that takes uploads, and the store that their parts go to, with trouble on demand.

The store is one of its own, or a bucket of moto's server, which speaks S3.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
from collections import Counter, deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

import attrs
from aiohttp import web
from moto.server import ThreadedMotoServer
from multidict import CIMultiDict

from fanvue_async import FanvueClient
from support.users import user

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

MEDIA = user(77)
BUCKET = "media"
boto3: Any = importlib.import_module("boto3")  # it has no types
RATE = {"X-RateLimit-Limit": "200", "X-RateLimit-Remaining": "199", "X-RateLimit-Reset": "1"}


@attrs.frozen
class ReceivedPart:
    """A part as it came."""

    number: int
    headers: Mapping[str, str]
    content: bytes


class UploadSite:
    """The API and the store.

    Args:
        part_size: what the API asks for.
        s3: a client of an S3 with the bucket, whose presigned addresses the API then names.

    """

    def __init__(self, *, part_size: int | None = None, s3: Any = None) -> None:
        self.url = ""
        self.calls: Counter[str] = Counter()
        """How often each endpoint of the API was called, by method and first words of its path."""
        self.received: list[ReceivedPart] = []
        """Parts that the store has read, those it then refused included."""
        self.stored: dict[int, bytes] = {}
        self.trouble: dict[int, deque[Any]] = {}
        """What happens to the next attempts at a part: a status, a word, or a response."""
        self.addresses: dict[int, str] = {}
        """What the API names instead of the store's address."""
        self.completed: list[Any] = []
        self.lose_completion = False
        self.completion_status = 200
        self.statuses: deque[str] = deque(["ready"])
        """What the medium's status is, each time it is read; the last one stays."""
        self.folders: list[Any] = []
        self.on_part: Callable[[int], Awaitable[None]] | None = None
        self.ending = asyncio.Event()
        """Set when the site closes: what hangs waits for it."""
        self._part_size = part_size
        self._s3 = s3
        self._upload_id = "upload/1"
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=1 << 31)
        app.router.add_post("/media/uploads", self._create)
        app.router.add_get("/media/uploads/{upload}/parts/{number}/url", self._address)
        app.router.add_patch("/media/uploads/{upload}", self._complete)
        app.router.add_get(f"/media/{MEDIA}", self._media)
        app.router.add_post("/vault/folders/{name}/media", self._attach)
        app.router.add_put("/store/{number}", self._store)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = "http://{}:{}".format(*self._runner.addresses[0][:2])
        return self

    async def __aexit__(self, *_: object) -> None:
        self.ending.set()
        assert self._runner is not None
        await self._runner.cleanup()

    def client(self, **options: Any) -> FanvueClient:
        """Make a client whose waits take no time."""
        client = FanvueClient("a-token", base_url=self.url, **options)
        client._session.terms.pool.clockwork.sleep = _no_time
        return client

    async def _create(self, request: web.Request) -> web.Response:
        self.calls["create"] += 1
        assert request.headers["Authorization"] == "Bearer a-token"
        self.session = await request.json()
        answer: dict[str, object] = {"mediaUuid": MEDIA, "uploadId": self._upload_id}
        if self._part_size is not None:
            answer["partSize"] = self._part_size
        if self._s3 is not None:
            made = await asyncio.to_thread(
                self._s3.create_multipart_upload, Bucket=BUCKET, Key=MEDIA
            )
            answer["uploadId"] = self._upload_id = made["UploadId"]
        return web.json_response(answer, headers=RATE)

    async def _address(self, request: web.Request) -> web.Response:
        self.calls["address"] += 1
        assert request.match_info["upload"] == self._upload_id
        number = int(request.match_info["number"])
        address = f"{self.url}/store/{number}?signature=secret%2Fthing&X-Amz-Expires=60"
        if self._s3 is not None:
            parameters = {
                "Bucket": BUCKET,
                "Key": MEDIA,
                "UploadId": self._upload_id,
                "PartNumber": number,
            }
            address = self._s3.generate_presigned_url("upload_part", Params=parameters)
        return web.Response(text=self.addresses.get(number, address), headers=RATE)

    async def _store(self, request: web.Request) -> web.Response:
        number = int(request.match_info["number"])
        assert request.raw_path.endswith("?signature=secret%2Fthing&X-Amz-Expires=60")
        if self.on_part is not None:
            await self.on_part(number)
        content = await request.read()
        self.received.append(ReceivedPart(number, CIMultiDict(request.headers), content))
        trouble = self.trouble.get(number)
        if trouble:
            match trouble.popleft():
                case "reset":
                    assert request.transport is not None
                    request.transport.abort()
                case "hang":
                    await self.ending.wait()
                case web.Response() as response:
                    return response
                case status:
                    return web.Response(status=status, text="<Error><Code>Trouble</Code></Error>")
        self.stored[number] = content
        return web.Response(headers={"ETag": f'"{_etag(content)}"'})

    async def _complete(self, request: web.Request) -> web.Response:
        self.calls["complete"] += 1
        body = await request.json()
        self.completed.append(body["parts"])
        if self._s3 is not None:
            await asyncio.to_thread(
                self._s3.complete_multipart_upload,
                Bucket=BUCKET,
                Key=MEDIA,
                UploadId=self._upload_id,
                MultipartUpload={"Parts": body["parts"]},
            )
        if self.lose_completion:
            assert request.transport is not None
            request.transport.abort()
        return web.json_response(
            {"status": "processing", "message": "No"}, status=self.completion_status, headers=RATE
        )

    async def _media(self, request: web.Request) -> web.Response:
        self.calls["status"] += 1
        assert request.headers["Authorization"] == "Bearer a-token"
        status = self.statuses.popleft() if len(self.statuses) > 1 else self.statuses[0]
        return web.json_response({"uuid": MEDIA, "status": status}, headers=RATE)

    async def _attach(self, request: web.Request) -> web.Response:
        self.folders.append((request.match_info["name"], (await request.json())["mediaUuids"]))
        return web.json_response({"addedCount": 1}, status=201, headers=RATE)

    @property
    def content(self) -> bytes:
        """What the store has put together."""
        return b"".join(self.stored[number] for number in sorted(self.stored))


@asynccontextmanager
async def s3() -> AsyncGenerator[Any, None]:
    """Run moto's server, an S3 with one bucket; gives a client of it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    await asyncio.to_thread(server.start)
    try:
        host, port = server.get_host_and_port()
        client: Any = boto3.client(
            "s3",
            endpoint_url=f"http://{host}:{port}",
            aws_access_key_id="a-key",
            aws_secret_access_key="a-secret",
            region_name="us-east-1",
        )
        await asyncio.to_thread(client.create_bucket, Bucket=BUCKET)
        yield client
        client.close()
    finally:
        await asyncio.to_thread(server.stop)
        listener: Any = server._server
        listener.server_close()  # which it leaves to the garbage collector


def _etag(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


async def _no_time(_: float) -> None:
    await asyncio.sleep(0)
