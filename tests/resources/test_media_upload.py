"""media.upload: from a source to the object store, whatever happens on the way."""

from __future__ import annotations

import asyncio
import os
import tracemalloc
from collections import deque
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast
from unittest.mock import AsyncMock

import pytest
from aiohttp import web
from support.upload_site import BUCKET, MEDIA, UploadSite, s3

from fanvue_async import (
    APIError,
    DeadlineExceededError,
    DecodeError,
    FanvueError,
    InvalidArgumentError,
    NoAnswerError,
    NotFoundError,
    NotSentError,
    PermissionDeniedError,
    ProtocolError,
    RateLimits,
    ServerError,
    Timeout,
    TransportError,
    UploadedMedia,
)
from fanvue_async.resources._upload import Parts, Transfer, _checked

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from fanvue_async.resources._upload import Source

PART = 64 * 1024
CHANCE = Random(1)
CONTENT = CHANCE.randbytes(5 * PART + 1234)


async def in_pieces(content: bytes, size: int = 10_000) -> AsyncIterator[bytes]:
    """Give a content as an async iterator does."""
    for start in range(0, len(content), size):
        yield content[start : start + size]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Write a file of six parts."""
    path = tmp_path / "beach.jpg"
    path.write_bytes(CONTENT)
    return path


def notes(error: BaseException) -> list[str]:
    """Give what an error says besides its sentence."""
    return getattr(error, "__notes__", [])


BEGUN = [f"The upload was begun as the media item {MEDIA}."]


async def test_a_file_arrives_in_an_s3(tmp_path: Path) -> None:
    """Through presigned addresses of moto's S3, the bytes that arrive are those of the file."""
    content = CHANCE.randbytes(11 * 1024 * 1024)
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    async with s3() as store, UploadSite(s3=store) as site, site.client() as client:
        uploaded = await client.media.upload(path, part_size=5 * 1024 * 1024)

        assert uploaded == UploadedMedia(media_uuid=MEDIA, status="processing")
        stored = await asyncio.to_thread(store.get_object, Bucket=BUCKET, Key=MEDIA)
        assert stored["Body"].read() == content
        (parts,) = site.completed
        assert [part["PartNumber"] for part in parts] == [1, 2, 3]
        assert all(len(part["ETag"]) == 32 for part in parts)
        assert site.session == {"name": "clip.mp4", "filename": "clip.mp4", "mediaType": "video"}


@pytest.mark.usefixtures("no_leaks")
def small_pieces(path: Path) -> AsyncIterator[bytes]:
    """Give a file as an async iterator does."""
    return in_pieces(path.read_bytes())


def large_pieces(path: Path) -> AsyncIterator[bytes]:
    """Give a file in pieces that are larger than a part."""
    return in_pieces(path.read_bytes(), 3 * PART)


def view(path: Path) -> memoryview:
    """Give a file as numbers of two bytes."""
    return memoryview(path.read_bytes()).cast("H")


def buffer(path: Path) -> bytearray:
    """Give a file as bytes that can change."""
    return bytearray(path.read_bytes())


@pytest.mark.usefixtures("no_leaks")
@pytest.mark.parametrize(
    "make", [Path, str, Path.read_bytes, buffer, view, small_pieces, large_pieces]
)
async def test_every_kind_of_source_arrives(file: Path, make: Callable[[Path], Source]) -> None:
    """A path, bytes of any kind or an async iterator: the store gets the same parts of it."""
    async with UploadSite(part_size=PART) as site, site.client() as client:
        await client.media.upload(make(file), name="Beach", media_type="image")

        assert site.content == CONTENT
        (parts,) = site.completed
        assert [part["PartNumber"] for part in parts] == [1, 2, 3, 4, 5, 6]
        assert (site.session["name"], site.session["mediaType"]) == ("Beach", "image")


async def test_a_path_may_be_the_name_as_well(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its type is guessed from the file's name all the same."""
    monkeypatch.chdir(file.parent)
    async with UploadSite(part_size=PART) as site, site.client() as client:
        await client.media.upload(name := file.name, name=name)

        assert site.session == {"name": name, "filename": name, "mediaType": "image"}


async def test_an_iterator_is_never_in_memory_as_a_whole() -> None:
    """Less than five parts are: what was sent is gone before the next part is read."""
    size = 4 * 1024 * 1024

    async def send(request: Any) -> str:
        await asyncio.sleep(0.001)
        return str(len(request.body))

    parts = Parts(in_pieces(bytes(12 * size), 256 * 1024), None)
    async with UploadSite() as site, site.client() as client, parts:
        parts.cut_by(size)
        transfer = Transfer(client._session, parts, AsyncMock(return_value="https://s3.test"), None)
        transfer._session = cast("Any", SimpleNamespace(send=send, terms=client._session.terms))
        tracemalloc.start()
        sent = await transfer.run()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

    assert [part.etag for part in sent] == [str(size)] * 12
    assert peak < 5 * size


async def test_a_part_carries_nothing_of_ours(file: Path) -> None:
    """The store sees no token, no version, no User-Agent of ours and no type of the content."""
    async with UploadSite(part_size=PART) as site, site.client(user_agent="bot/1") as client:
        await client.media.upload(file)

        for part in site.received:
            assert set(part.headers) <= {
                "Host",
                "Accept",
                "Accept-Encoding",
                "User-Agent",
                "Content-Length",
            }
            text = str(dict(part.headers)).lower()
            assert "fanvue" not in text
            assert "a-token" not in text
            assert "bot/1" not in text


@pytest.mark.usefixtures("no_leaks")
@pytest.mark.parametrize("trouble", [[500], [503, 502], ["reset"], ["reset", 500]])
async def test_a_part_that_fails_is_sent_again_alone(file: Path, trouble: list[Any]) -> None:
    """What failed is repeated to the same address; all other parts are sent once."""
    async with UploadSite(part_size=PART) as site, site.client() as client:
        site.trouble[3] = deque(trouble)
        await client.media.upload(file)

        assert site.content == CONTENT
        numbers = sorted(part.number for part in site.received)
        assert numbers == sorted([1, 2, 3, 4, 5, 6] + [3] * len(trouble))
        assert site.calls["address"] == 6


@pytest.mark.parametrize(
    ("trouble", "expected", "attempts"),
    [
        ([500] * 3, ServerError, 3),
        ([403], PermissionDeniedError, 1),
        ([web.Response(status=307, headers={"Location": "https://example.com"})], APIError, 1),
        ([web.Response()], DecodeError, 1),
        (["reset"] * 3, NoAnswerError, 3),
    ],
    ids=["500", "403", "redirect", "no ETag", "reset"],
)
async def test_a_part_that_cannot_be_sent_ends_the_upload(
    file: Path, trouble: list[Any], expected: type[FanvueError], attempts: int
) -> None:
    """The error is typed, counts its attempts, tells no address, and names the medium begun."""
    async with UploadSite(part_size=PART) as site, site.client() as client:
        site.trouble[2] = deque(trouble)
        with pytest.raises(expected) as caught:
            await client.media.upload(file)

        assert type(caught.value) is expected
        assert caught.value.attempts == attempts
        assert notes(caught.value) == BEGUN
        assert "secret" not in str(caught.value) + repr(vars(caught.value))
        assert site.completed == []


@pytest.mark.parametrize(
    "address",
    ["http://example.com/part?x=1", "ftp://127.0.0.1/part", "no address", "https://", "https://["],
)
async def test_an_address_in_the_clear_is_refused(file: Path, address: str) -> None:
    """A file is sent over https only, except to a store on the machine itself."""
    async with UploadSite(part_size=PART) as site, site.client() as client:
        site.addresses[1] = address
        with pytest.raises(ProtocolError, match="no https URL") as caught:
            await client.media.upload(file)

        assert notes(caught.value) == BEGUN


def test_a_store_in_the_clear_beside_an_api_over_tls_is_refused() -> None:
    """The API's own host counts only where the API itself is called by http, as a fake is."""
    address = "http://fake:8080/part"
    assert _checked(address, "http://fake:8080") == address
    with pytest.raises(ProtocolError, match="no https URL"):
        _checked(address, "https://fake:8080")


async def test_a_store_out_of_reach_is_an_error_of_not_sent(file: Path) -> None:
    """Where nobody listens, nothing left, and the error says so."""
    async with UploadSite(part_size=PART) as site, site.client() as client:
        site.addresses[1] = "http://127.0.0.1:1/part"
        with pytest.raises(NotSentError):
            await client.media.upload(file)


async def test_an_attempt_may_be_as_long_as_the_upload(file: Path) -> None:
    """Without a bound of its own, a part just goes on."""
    async with UploadSite(part_size=PART) as site:
        async with site.client(timeout=Timeout(attempt=86_400)) as client:
            await client.media.upload(file)

        assert site.content == CONTENT


async def test_a_store_that_says_nothing_is_given_up(file: Path) -> None:
    """`attempt` bounds the seconds without progress, and the part is tried again."""
    async with UploadSite(part_size=PART) as site:
        async with site.client(timeout=Timeout(attempt=0.2)) as client:
            site.trouble[1] = deque(["hang"])
            await client.media.upload(file)

        assert site.content == CONTENT


async def test_a_slow_part_with_progress_is_not_given_up(tmp_path: Path) -> None:
    """A part that takes longer than `attempt` arrives, as long as bytes leave."""
    path = tmp_path / "large.mov"
    path.write_bytes(bytes(24 * 1024 * 1024))
    reads = 0

    async def read_slowly(request: web.Request) -> web.Response:
        nonlocal reads
        while chunk := await request.content.read(1024 * 1024):
            reads += len(chunk)
            await asyncio.sleep(0.1)
        return web.Response(headers={"ETag": '"1"'})

    app = web.Application()
    app.router.add_put("/slow", read_slowly)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with UploadSite(part_size=24 * 1024 * 1024) as site:
        site.addresses[1] = "http://{}:{}/slow".format(*runner.addresses[0][:2])
        told: list[int] = []

        def note(sent: int, _: int | None) -> None:
            told.append(sent)

        async with site.client(timeout=Timeout(attempt=1.5)) as client:
            await client.media.upload(path, progress=note)
    await runner.cleanup()

    assert reads >= 24 * 1024 * 1024
    assert len(told) > 10


async def test_progress_only_grows_and_ends_with_all(file: Path) -> None:
    """What is sent again is not counted again, and the end is the whole."""
    told: list[tuple[int, int | None]] = []

    def note(sent: int, total: int | None) -> None:
        told.append((sent, total))

    async with UploadSite(part_size=PART) as site, site.client() as client:
        site.trouble[2] = deque([500, "reset"])
        await client.media.upload(file, progress=note)
        assert told[-1] == (len(CONTENT), len(CONTENT))
        assert [sent for sent, _ in told] == sorted(sent for sent, _ in told)

        told.clear()
        source = in_pieces(CONTENT)
        await client.media.upload(source, name="x", media_type="image", progress=note)
        assert told[-1][1] is None


async def test_a_progress_that_raises_is_not_called_again(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A mistake in a progress bar costs no upload, and is logged once without its text."""

    def broken(sent: int, total: int | None) -> None:
        raise ZeroDivisionError(f"{sent} of {total}")

    async with UploadSite(part_size=PART) as site, site.client() as client:
        await client.media.upload(file, progress=broken)

        assert site.content == CONTENT
    assert caplog.messages == ["progress raised ZeroDivisionError; it is not called again"]


async def test_uploads_end_in_a_folder_and_ready(file: Path) -> None:
    """The medium is put into the folder, and its status read until it stays."""
    async with UploadSite(part_size=PART) as site, site.client() as client:
        site.statuses = deque(["processing", "processing", "ready"])
        uploaded = await client.media.upload(file, folder="Summer", wait_until_ready=True)

        assert uploaded.status == "ready"
        assert site.calls["status"] == 3
        assert site.folders == [("Summer", [MEDIA])]


@pytest.mark.parametrize(("status", "is_known"), [("processing", True), ("created", False)])
async def test_a_lost_completion_is_settled_by_reading(
    file: Path, *, status: str, is_known: bool
) -> None:
    """Whether the API took the completion is read off the medium; it is not sent twice."""
    async with UploadSite(part_size=PART) as site, site.client() as client:
        site.lose_completion = True
        site.statuses = deque([status])
        if is_known:
            assert (await client.media.upload(file)).status == status
        else:
            with pytest.raises(NoAnswerError) as caught:
                await client.media.upload(file)
            assert caught.value.maybe_processed
            assert notes(caught.value) == BEGUN
        assert site.calls["complete"] == 1


async def test_a_refused_completion_is_raised(file: Path) -> None:
    """A 404 says that nothing happened, so that nothing is read."""
    async with UploadSite(part_size=PART) as site, site.client() as client:
        site.completion_status = 404
        with pytest.raises(NotFoundError) as caught:
            await client.media.upload(file)

        assert notes(caught.value) == BEGUN
        assert site.calls["status"] == 0


async def test_the_rate_limit_of_the_api_is_not_taken_for_parts(file: Path) -> None:
    """With a gate of two calls a window, six parts go to the store all the same."""
    async with UploadSite() as site:
        async with site.client(rate_limits=RateLimits()) as client:
            await client.media.upload(file)
        assert site.content == CONTENT


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"source": b""}, "source is empty"),
        ({"source": in_pieces(b"")}, "source is empty"),
        ({"source": 5}, "source must be a path, bytes or an async iterator"),
        ({"source": b"x", "name": None}, "name and media_type are needed"),
        ({"source": b"x", "media_type": None}, "name and media_type are needed"),
        ({"source": b"x", "name": "n" * 256}, "name must have 1 to 255 characters"),
        ({"source": b"x", "part_size": 5 * 1024 * 1024 - 1}, "part_size"),
        ({"source": b"x", "part_size": 6e6}, "part_size"),
        ({"source": b"x", "part_size": 2_000_000_000}, "5 MiB .* to 1,610,612,736 bytes"),
        ({"source": b"x", "folder": ""}, "folder must have 1 to 255 characters"),
        ({"source": b"x", "timeout": 0}, "timeout"),
        ({"source": b"x", "timeout": True}, "timeout"),
    ],
)
async def test_bad_arguments_are_refused(arguments: dict[str, Any], expected: str) -> None:
    """A sentence says what is wrong, and no part is sent."""
    async with UploadSite(part_size=PART) as site, site.client() as client:
        given: dict[str, Any] = {"name": "x", "media_type": "image", **arguments}
        with pytest.raises(InvalidArgumentError, match=expected):
            await client.media.upload(**given)

        assert site.received == []
        assert site.completed == []


class _Abort(BaseException):
    """What is no Exception."""


@pytest.mark.parametrize(
    ("error", "raised"),
    # The first comes out of a task that it shares with others, say.
    [(asyncio.CancelledError, TransportError), (_Abort, _Abort), (LookupError, LookupError)],
)
async def test_an_iterator_that_raises_ends_the_upload(
    error: type[BaseException], raised: type[BaseException]
) -> None:
    """What it gave until then is not taken for all of it."""

    async def cut() -> AsyncIterator[bytes]:
        yield CONTENT[: 2 * PART]
        raise error

    async with UploadSite(part_size=PART) as site, site.client() as client:
        with pytest.raises(raised) as caught:
            await client.media.upload(cut(), name="clip.mp4", media_type="video")
        assert site.completed == []
    assert notes(caught.value) == BEGUN


async def test_a_progress_that_cancels_its_task_costs_no_byte(file: Path) -> None:
    """The part is sent again; a file that lacks it is not completed."""

    def progress(sent: int, _: int | None) -> None:
        task = asyncio.current_task()
        if sent > 2 * PART and task is not None and not cancelled:
            cancelled.append(task.cancel())

    cancelled: list[bool] = []
    async with UploadSite(part_size=PART) as site, site.client() as client:
        await client.media.upload(file, progress=progress)
        assert site.content == CONTENT
    assert cancelled == [True]


async def test_an_iterator_must_give_bytes() -> None:
    """Text is not sent as if it were a file."""

    async def texts() -> AsyncIterator[Any]:
        yield "text"

    async with UploadSite(part_size=PART) as site, site.client() as client:
        with pytest.raises(InvalidArgumentError, match="must give bytes"):
            await client.media.upload(texts(), name="x", media_type="image")


async def test_a_file_that_is_too_large_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    """One byte over the limit, and the API is not even asked."""
    path = tmp_path / "huge.mp4"
    path.touch()
    os.truncate(path, 1_610_612_737)
    async with UploadSite() as site, site.client() as client:
        with pytest.raises(InvalidArgumentError, match="1,610,612,736"):
            await client.media.upload(path)
        assert site.calls == {}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("missing.jpg", FileNotFoundError),
        (".", IsADirectoryError),
        ("empty.jpg", InvalidArgumentError),
    ],
)
async def test_a_file_that_cannot_be_read_says_so(
    tmp_path: Path, name: str, expected: type[Exception]
) -> None:
    """The system's own error comes through, and nothing is begun."""
    (tmp_path / "empty.jpg").touch()
    async with UploadSite() as site, site.client() as client:
        with pytest.raises(expected):
            await client.media.upload(tmp_path / name)
        assert site.calls == {}


@pytest.mark.parametrize("change", ["shrink", "grow", "rewrite", "vanish"])
async def test_a_file_that_changes_while_it_is_read_is_not_completed(
    file: Path, change: str
) -> None:
    """What the store would put together is no version of the file that ever was."""
    async with UploadSite(part_size=PART) as site, site.client() as client:
        write, remove = file.write_bytes, file.unlink

        async def change_it(_: int) -> None:
            site.on_part = None
            if change == "shrink":
                os.truncate(file, 2 * PART)
            elif change == "grow":
                write(CONTENT + b"more")
            elif change == "rewrite":
                write(CONTENT)
                os.utime(file, ns=(0, 0))
            else:
                remove()

        site.on_part = change_it
        expected = FileNotFoundError if change == "vanish" else InvalidArgumentError
        with pytest.raises(expected) as caught:
            await client.media.upload(file)

        assert notes(caught.value) == BEGUN
        assert site.completed == []


@pytest.mark.usefixtures("no_leaks")
async def test_a_timeout_bounds_the_whole_upload(file: Path) -> None:
    """When `timeout` runs out, the error is our own and says what was begun."""
    async with UploadSite(part_size=PART) as site, site.client() as client:
        site.trouble[4] = deque(["hang"])
        with pytest.raises(DeadlineExceededError) as caught:
            await client.media.upload(file, timeout=0.3)

        assert caught.value.maybe_processed
        assert notes(caught.value) == BEGUN
        assert site.completed == []


@pytest.mark.usefixtures("no_leaks")
@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6])
async def test_cancelling_at_a_part_leaves_nothing_behind(file: Path, number: int) -> None:
    """The cancel is the caller's own, names the medium, and no task or file stays."""
    async with UploadSite(part_size=PART) as site, site.client() as client:
        reached = asyncio.Event()

        async def reach(which: int) -> None:
            if which == number:
                reached.set()
                await site.ending.wait()

        site.on_part = reach
        task = asyncio.create_task(client.media.upload(file))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task

        assert notes(caught.value) == BEGUN


@pytest.mark.usefixtures("no_leaks")
async def test_cancelling_anywhere_leaves_nothing_behind(file: Path) -> None:
    """A hundred cancels after random numbers of turns of the loop: no task, file or warning."""
    async with UploadSite(part_size=PART) as site, site.client() as client:
        for number in range(100):
            source: Any = file if number % 2 else in_pieces(CONTENT)
            task = asyncio.create_task(
                client.media.upload(source, name="x", media_type="image", wait_until_ready=True)
            )
            for _ in range(CHANCE.randrange(150)):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        assert (await client.media.upload(file)).media_uuid == MEDIA


def test_a_progress_may_end_the_program() -> None:
    """What ends a program is no mistake in a progress bar, and passes."""

    def end(_sent: int, _total: int | None) -> None:
        raise SystemExit(3)

    transfer = object.__new__(Transfer)
    transfer._sent, transfer._progress = {}, end
    transfer._parts = cast("Any", SimpleNamespace(size=1))
    with pytest.raises(SystemExit):
        transfer._note(1, 1)
