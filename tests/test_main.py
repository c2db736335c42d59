"""The command ``fanvue``: signing in, asking, and one sentence for what goes wrong."""

from __future__ import annotations

import asyncio
import io
import json
import os
import runpy
import signal
import socket
import stat
import sys
from typing import TYPE_CHECKING
from unittest import mock

import aiohttp
import pytest
from support.programs import complaints
from support.users import USER

import fanvue_async.__main__
from fanvue_async.__main__ import main

if TYPE_CHECKING:
    from pathlib import Path

    from fanvue_async.testing import FakeFanvue


@pytest.fixture(autouse=True)
def environment(fake: FakeFanvue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the command a folder of its own, the fake, and an application."""
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "FANVUE_BASE_URL": fake.url,
        "FANVUE_AUTH_URL": fake.url,
        "FANVUE_CLIENT_ID": "fake-client",
        "FANVUE_CLIENT_SECRET": "fake-secret",
    }.items():
        monkeypatch.setenv(name, value)


async def _run(*arguments: str) -> int:
    """Run the command on another thread, where it has an event loop of its own."""
    try:
        await asyncio.to_thread(main, arguments)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


async def _url(capsys: pytest.CaptureFixture[str]) -> str:
    """Wait for the address that the command shows."""
    shown = ""
    while "\n\nhttp" not in shown or not shown.endswith("\n\n"):
        shown += capsys.readouterr().out
        await asyncio.sleep(0.005)
    return shown.split("\n\n")[1]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _login(capsys: pytest.CaptureFixture[str], *arguments: str) -> None:
    """Sign in, with a browser that comes back by itself."""
    back = f"http://127.0.0.1:{_free_port()}/callback"
    running = asyncio.create_task(_run("login", "--redirect-uri", back, *arguments))
    url = await _url(capsys)
    async with aiohttp.ClientSession() as browser:
        async with browser.get(f"{back}?code=x&state=forged") as response:
            assert response.status == 400
        async with browser.get(url) as response:
            assert "close this window" in await response.text()
    assert await running == 0


async def test_signing_in_and_asking(
    fake: FakeFanvue, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The grant is kept in a file of mode 0600, and later commands use it; no secret is shown."""
    await _login(capsys)
    shown = capsys.readouterr()
    assert shown.out == f"Signed in as {fake.uuid}; kept in fanvue.db.\n"
    assert stat.S_IMODE((tmp_path / "fanvue.db").stat().st_mode) == 0o600

    assert await _run("whoami") == 0
    assert fake.uuid in capsys.readouterr().out
    assert await _run("request", "get", "/chats", "-p", "size=5", "-p", "filter=unread") == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["data"] == []
    assert "size=5&filter=unread" in fake.requests[-1].path
    assert "fake_at" not in shown.out + shown.err


async def test_several_accounts(fake: FakeFanvue, capsys: pytest.CaptureFixture[str]) -> None:
    """Which one must be said then."""
    await _login(capsys, "--account", "anna")
    await _login(capsys, "--account", "ben", "--scope", "read:self")
    capsys.readouterr()

    assert await _run("whoami") == 1
    assert capsys.readouterr().err == "fanvue: choose an account: --account with one of anna, ben\n"
    assert await _run("whoami", "--account", "ben") == 0
    assert await _run("request", "GET", "/chats", "--account", "ben") == 1
    assert "403" in capsys.readouterr().err
    assert fake.requests


async def test_pasting_the_address(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a redirect URI elsewhere, or a machine without a browser."""
    lines: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> str:
        return asyncio.run_coroutine_threadsafe(lines.get(), loop).result(10)

    monkeypatch.setattr("sys.stdin", mock.Mock(readline=read))
    for arguments in (["--redirect-uri", "https://bot.example/back"], ["--paste"]):
        running = asyncio.create_task(_run("login", *arguments))
        url = await _url(capsys)
        async with (
            aiohttp.ClientSession() as browser,
            browser.get(url, allow_redirects=False) as response,
        ):
            lines.put_nowait(response.headers["Location"] + "\n")
        assert await running == 0


READS = """
import signal, sys
from fanvue_async.__main__ import main

def told(read):
    return lambda: print("reading", flush=True) or read()

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
sys.stdin.read, sys.stdin.readline = told(sys.stdin.read), told(sys.stdin.readline)
main()
"""


@pytest.mark.parametrize(
    "arguments", [["login", "--paste"], ["request", "POST", "/chats", "--json", "-"]]
)
async def test_an_interrupt_ends_a_command_that_reads(arguments: list[str]) -> None:
    """Ctrl-C does not wait for a line, and shows no traceback."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", READS, *arguments), stdin=pipe, stdout=pipe, stderr=pipe
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            async for line in process.stdout:
                if line == b"reading\n":
                    process.send_signal(signal.SIGINT)
            assert await process.wait() == 130
    finally:
        if process.returncode is None:
            process.kill()
        _, errors = await process.communicate()
    assert complaints(errors.decode()) == ""


async def test_a_token_of_the_environment(
    fake: FakeFanvue, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is used without an application; a body may come from standard input."""
    monkeypatch.setenv("FANVUE_ACCESS_TOKEN", fake.token)
    monkeypatch.delenv("FANVUE_CLIENT_ID")
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({"userUuid": USER})))

    assert await _run("request", "POST", "/chats", "--json", "-") == 0
    assert "message" in json.loads(capsys.readouterr().out)
    fake.reply(204)
    assert await _run("request", "DELETE", "/chats", "--creator", USER, "--json", "{}") == 0
    assert capsys.readouterr().out == ""
    assert fake.requests[-1].path == f"/creators/{USER}/chats"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["whoami"], "fanvue: sign in first: fanvue login, or set FANVUE_ACCESS_TOKEN\n"),
        (["whoami", "--account", "no"], "fanvue: account 'no' is not connected\n"),
        (["whoami", "--store", "no/such/folder"], "fanvue: SQLiteStore."),
        (["request", "GET", "/chats", "-p", "size"], "fanvue: -p takes name=value, not 'size'\n"),
        (["request", "GET", "/chats", "--json", "{"], "fanvue: --json is not valid JSON: "),
        (["login", "--redirect-uri", "nowhere"], "fanvue: redirect_uri must be"),
        (["login", "--scope", "two words"], "fanvue: each scope must be"),
    ],
)
async def test_what_goes_wrong(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is one sentence, and exit status 1."""
    assert await _run(*arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith(words)
    assert error.count("\n") == 1


async def test_a_port_that_is_taken(fake: FakeFanvue, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told as the system tells it."""
    assert await _run("login", "--redirect-uri", f"{fake.url}/callback") == 1
    assert "address already in use" in capsys.readouterr().err


async def test_an_application_must_be_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its variables, and on Fanvue's own server by default."""
    monkeypatch.delenv("FANVUE_CLIENT_ID")
    monkeypatch.setenv("FANVUE_CLIENT_SECRET", "")
    monkeypatch.delenv("FANVUE_AUTH_URL")
    assert await _run("login") == 1
    assert "set FANVUE_CLIENT_ID and FANVUE_CLIENT_SECRET" in capsys.readouterr().err

    monkeypatch.setenv("FANVUE_CLIENT_ID", "id")
    monkeypatch.setenv("FANVUE_CLIENT_SECRET", "secret")
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert await _run("login", "--paste") == 1
    assert "https://auth.fanvue.com/oauth2/auth?" in capsys.readouterr().out


def test_who_reads_no_further_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in ``fanvue operations | head -1``."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        main(["operations"])


def test_operations(capsys: pytest.CaptureFixture[str]) -> None:
    """All of them, or those that contain a word."""
    main(["operations"])
    every = capsys.readouterr().out.splitlines()
    main(["operations", "CHATS.CREATE"])
    some = capsys.readouterr().out.splitlines()

    assert len(every) > 100
    assert "createChat  POST /chats  write:chat  chats.create" in some
    assert sum("assumed" in line for line in every) == 3
    assert len(some) < 10


def test_the_fake_is_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    """With the options of its own."""
    with (
        mock.patch("fanvue_async.testing.__main__.asyncio.run", side_effect=_close) as run,
        pytest.raises(SystemExit) as end,
    ):
        main(["fake", "--port", "0"])

    assert run.called
    assert end.value.code == 130
    assert capsys.readouterr().err == ""


def _close(serving: object) -> None:
    serving.close()  # type: ignore[attr-defined] # a generator
    raise KeyboardInterrupt


def test_it_is_a_module(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ``python -m fanvue_async``."""
    monkeypatch.setattr("sys.argv", ["fanvue", "--help"])
    with pytest.raises(SystemExit):
        runpy.run_path(fanvue_async.__main__.__file__, run_name="__main__")

    shown = capsys.readouterr().out
    for command in ("login", "whoami", "request", "operations", "fake"):
        assert command in shown
