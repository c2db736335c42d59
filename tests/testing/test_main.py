"""The fake as a program of its own."""

from __future__ import annotations

import asyncio
import io
import os
import runpy
import signal
import socket
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from support.by_hand import changed, send
from support.users import USER

from fanvue_async import (
    ConfigurationError,
    CreatedChat,
    FanvueClient,
)
from fanvue_async.testing.__main__ import main

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


RATE_LIMIT_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
SOON = 2.0  # seconds in which what should take none is over on any machine


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
async def test_alone_it_serves_until_it_is_told_to_end(end: signal.Signals) -> None:
    """It prints its address and a token, serves a client, and ends cleanly with one connected."""
    async with program() as process:
        assert process.stdout is not None
        name, url = (await process.stdout.readline()).decode().split()
        assert name == "url"
        name, token = (await process.stdout.readline()).decode().split()
        assert name == "token"
        async with FanvueClient(token, base_url=url) as client:
            created = await client.chats.create(USER)
            process.send_signal(end)
            async with asyncio.timeout(SOON):
                out, err = await process.communicate()

    assert created == CreatedChat(message="Chat created successfully")
    assert (process.returncode, out, err) == (0, b"", b"")


def test_alone_it_says_when_its_port_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    """A port that somebody else has is an error in one line, not a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with pytest.raises(SystemExit) as caught:
            main(["--port", port])

    said = capsys.readouterr().err
    assert caught.value.code
    assert port in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("port", ["-1", "65536", "http", ""])
def test_alone_it_refuses_what_is_no_port(capsys: pytest.CaptureFixture[str], port: str) -> None:
    """A port out of range is refused like any other wrong argument."""
    with pytest.raises(SystemExit) as caught:
        main([f"--port={port}"])

    assert caught.value.code == 2
    assert "argument --port: " in capsys.readouterr().err


@pytest.mark.parametrize("as_module", [False, True])
def test_the_program_ends_on_a_signal(monkeypatch: pytest.MonkeyPatch, *, as_module: bool) -> None:
    """main() returns after a signal, and so does ``python -m fanvue_async.testing``."""

    class Terminal(io.StringIO):
        """Sends the signal as soon as everything is printed."""

        def flush(self) -> None:
            monkeypatch.undo()
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL  # it would end all tests
            os.kill(os.getpid(), signal.SIGTERM)

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    if as_module:
        monkeypatch.setattr(sys, "argv", ["fanvue_async.testing", "--port", "0"])
        monkeypatch.delitem(sys.modules, "fanvue_async.testing.__main__")  # or runpy warns
        runpy.run_module("fanvue_async.testing", run_name="__main__")
    else:
        main(["--port", "0"])

    lines = [line.split() for line in terminal.getvalue().splitlines()]
    assert [name for name, _ in lines] == ["url", "token"]


@asynccontextmanager
async def program(*options: str) -> AsyncGenerator[asyncio.subprocess.Process, None]:
    """Run ``python -m fanvue_async.testing``; it never outlives its test.

    Not in Python's development mode, whose asyncio reports what a busy machine makes slow.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-P", "-W", "error", "-m", "fanvue_async.testing", "--port", "0", *options),
        env={**os.environ, "PYTHONDEVMODE": ""},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(20):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_alone_it_takes_options() -> None:
    """Tokens, a limit and an address of its own; a line for each request, with no token in it."""
    command = ("--token", "one", "--token", "two", "--rate-limit", "1/60", "--verbose")
    async with program("--host", "localhost", *command) as process:
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().split()[1]
        assert (await process.stdout.readline()).split() == [b"token", b"one"]
        headers = changed({"Authorization": "Bearer two"})
        statuses = [
            (await send(url, path="/chats?access_token=secret", headers=headers)).status
            for _ in range(2)
        ]
        lines = [await process.stdout.readline() for _ in range(2)]

    assert statuses == [201, 429]
    assert lines == [b"POST /chats 201\n", b"POST /chats 429\n"]


@pytest.mark.parametrize("limit", ["", "5", "5/", "/60", "0/60", "5/0", "x/60", "1.5/60"])
def test_alone_it_refuses_what_is_no_limit(capsys: pytest.CaptureFixture[str], limit: str) -> None:
    """A limit that makes no sense is refused like any other wrong argument."""
    with pytest.raises(SystemExit) as caught:
        main([f"--rate-limit={limit}"])

    assert caught.value.code == 2
    assert "must be requests/seconds" in capsys.readouterr().err


def test_the_fake_on_windows_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loops on Windows know neither signal handlers nor readers: the program ends all the same."""

    def missing(*_: object) -> None:
        raise NotImplementedError

    def say(*words: object, **_: object) -> None:
        said.append(words)
        if len(said) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    said: list[object] = []
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    loop_class = asyncio.SelectorEventLoop
    monkeypatch.setattr(loop_class, "add_signal_handler", missing)
    monkeypatch.setattr(loop_class, "remove_reader", missing)
    monkeypatch.setattr("builtins.print", say)
    try:
        main(["--port", "0"])
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])
    assert len(said) == 2


async def test_the_fake_in_another_container() -> None:
    """``--host`` listens on all addresses; a client that allows http reaches it by another name."""
    async with program("--host", "0.0.0.0") as process:  # noqa: S104 - as in a container
        assert process.stdout is not None
        port = (await process.stdout.readline()).decode().rpartition(":")[2].strip()
        address = f"http://127.0.0.2:{port}"
        with pytest.raises(ConfigurationError):
            FanvueClient("fake-token", base_url=address)
        async with FanvueClient("fake-token", base_url=address, allow_http=True) as client:
            await client.chats.create(USER)
