"""Sign-in, renewal and reuse, judged by the certified ``oidc-provider`` (npm).

::

    npm install --prefix FOLDER oidc-provider@9 node@22
    python tests/oauth/judge.py FOLDER

Starts the server, and prints what it counted; exits with 1 if it had anything to object.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import attrs
import pytest
from yarl import URL

from fanvue_async import SignInError, SignInRequiredError
from fanvue_async.oauth import OAuthApp
from fanvue_async.oauth.grants import read
from fanvue_async.stores import SQLiteStore

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from fanvue_async.oauth import SignIn
    from fanvue_async.stores import Store

_HERE = Path(__file__).parent
_BACK = "https://bot.example/callback"
_CLIENT = ("judged client", "a+secret %:of the client", _BACK)
_LIFE = 3.0  # seconds of an access token
_PROCESSES, _ROUNDS = 4, 5


@asynccontextmanager
async def _judge(folder: Path) -> AsyncGenerator[str]:
    """Run the server, with the Node that its package brings."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    node = folder / "node_modules" / "node" / "bin" / "node"
    home = folder / "node_modules" / "oidc-provider" / "lib" / "index.js"
    process = await asyncio.create_subprocess_exec(
        *(str(node), str(_HERE / "judge.mjs"), port, str(home)),
        stdout=asyncio.subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        line = b" "
        while line and b"listening" not in line:
            line = await process.stdout.readline()
        assert line, "the server did not start"
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _browse(sign_in: SignIn) -> str:
    """Follow the server's redirects up to the one that leads back to us."""
    url = sign_in.url
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        while not url.startswith(_BACK):
            async with browser.get(url, allow_redirects=False) as response:
                assert "Location" in response.headers, await response.text()
                url = str(response.url.join(URL(response.headers["Location"])))
    return url


async def _counts(url: str) -> dict[str, Any]:
    async with aiohttp.ClientSession() as http, http.get(f"{url}/counts") as response:
        counts: dict[str, Any] = await response.json()
        return counts


async def _sign_in(app: OAuthApp) -> tuple[SignIn, str]:
    sign_in = app.sign_in(["read:self", "read:chat"], account="anna")
    callback = await _browse(sign_in)
    assert await app.connect(sign_in, callback) == "anna"
    assert await app.connect(sign_in, callback) == "anna"  # a page that is loaded again
    return sign_in, callback


async def _use(path: str, url: str) -> None:
    """Be one process: ask for tokens, through several of their lives."""
    async with (
        SQLiteStore(path) as store,
        OAuthApp(*_CLIENT, store=store, auth_url=url) as app,
    ):
        until = time.monotonic() + _LIFE * _ROUNDS
        while time.monotonic() < until:
            assert await app.token("anna").get_token()
            await asyncio.sleep(0.01)


async def _processes(path: str, url: str) -> None:
    started = [
        await asyncio.create_subprocess_exec(sys.executable, __file__, path, "--use", url)
        for _ in range(_PROCESSES)
    ]
    for process in started:
        assert await process.wait() == 0, "a process lost the sign-in"


async def _run(folder: Path) -> None:
    path = os.path.join(tempfile.mkdtemp(), "fanvue.db")  # noqa: PTH118 - a text for a command
    async with (
        _judge(folder) as url,
        SQLiteStore(path) as store,
        OAuthApp(*_CLIENT, store=store, auth_url=url) as app,
    ):
        sign_in, callback = await _sign_in(app)
        counts = await _counts(url)
        assert (counts["requests"], counts["grants"], counts["revoked"]) == (1, 1, 0), counts

        began = time.monotonic()
        await _processes(path, url)
        lives = (time.monotonic() - began) / _LIFE
        counts = await _counts(url)
        print(f"{_PROCESSES} processes over {lives:.1f} lives of a token: {counts}")  # noqa: T201 - its purpose
        assert counts["requests"] == counts["grants"], "an exchange was refused"
        assert counts["revoked"] == 0, "a refresh token was used twice"
        assert lives - 2 < counts["requests"] < 2 * lives + 2, "tokens are renewed too often"

        await _break_rules(app, store, sign_in, callback)
        counts = await _counts(url)
        assert counts["errors"] == ["invalid_grant", "invalid_grant"], counts

        await _sign_in(app)
        assert await app.disconnect("anna")
        print(f"all was well: {await _counts(url)}")  # noqa: T201 - its purpose


async def _break_rules(app: OAuthApp, store: Store, sign_in: SignIn, callback: str) -> None:
    """See what the server does to those who use something twice, and how it is told."""
    key = app._keys.grant("anna")
    entry = await store.get(key)
    assert entry is not None
    spent = read(entry)
    await app.token("anna").invalidate(spent.access_token)
    assert await app.token("anna").get_token() != spent.access_token
    await store.put(key, attrs.evolve(spent, refused=True).dump())
    app.token("anna").forget()
    with pytest.raises(SignInRequiredError):
        await app.token("anna").get_token()
    other = attrs.evolve(sign_in, state="other")  # for us another sign-in, with a used code
    with pytest.raises(SignInError, match="invalid_grant"):
        await app.connect(other, callback.replace(sign_in.state, "other"))


def main() -> None:
    """Let the judge look, or be one of the processes that it looks at."""
    parser = argparse.ArgumentParser(description="Sign-in, judged by oidc-provider.")
    parser.add_argument("folder", help="where npm has installed oidc-provider and node")
    parser.add_argument("--use", help=argparse.SUPPRESS)
    given = parser.parse_args()
    asyncio.run(_use(given.folder, given.use) if given.use else _run(Path(given.folder).resolve()))


if __name__ == "__main__":
    main()
