"""The command ``fanvue``, also as ``python -m fanvue_async``."""

from __future__ import annotations

import argparse
import asyncio
import hmac
import json
import os
import sys
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fanvue_async import ConfigurationError, FanvueClient, FanvueError
from fanvue_async.engine.credentials import ENVIRONMENT as ACCESS_TOKEN

if TYPE_CHECKING:
    from fanvue_async import CreatorClient
    from fanvue_async.oauth import OAuthApp, SignIn

CLIENT_ID = "FANVUE_CLIENT_ID"
CLIENT_SECRET = "FANVUE_CLIENT_SECRET"  # noqa: S105 - the name of a variable
AUTH_URL = "FANVUE_AUTH_URL"

_DESCRIPTION = "Sign in to Fanvue, call its API, and run a fake of it."
_CALLBACK = "http://localhost:8765/callback"
_SCOPES = ("read:self", "read:chat")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_DONE = "You can close this window and go back to the terminal.\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; an error is one sentence and exit status 1."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        running = given.run(given)
        if asyncio.iscoroutine(running):
            asyncio.run(running)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has read enough, such as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    except (FanvueError, OSError, ValueError) as error:
        words = str(error)
    except KeyboardInterrupt:
        sys.exit(130)
    else:
        return
    parser.exit(1, f"fanvue: {words}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fanvue", description=_DESCRIPTION)
    commands = parser.add_subparsers(required=True, metavar="command")
    _add_login(commands)
    _add_whoami(commands)
    _add_request(commands)
    _add_operations(commands)
    _add_fake(commands)
    return parser


def _add(commands: Any, name: str, words: str, *, stored: bool = True) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=words, description=words)
    if stored:
        command.add_argument(
            "--store", default="fanvue.db", help="file of the grants (%(default)s)"
        )
        command.add_argument("--account", help="name of the account in the store")
    return command


# fanvue login


def _add_login(commands: Any) -> None:
    command = _add(commands, "login", f"Sign in; {CLIENT_ID} and {CLIENT_SECRET} must be set.")
    command.add_argument(
        "--scope", action="append", help=f"may be repeated (default: {' '.join(_SCOPES)})"
    )
    command.add_argument(
        "--redirect-uri",
        default=_CALLBACK,
        help="as registered; on this machine it is listened to (%(default)s)",
    )
    command.add_argument(
        "--paste", action="store_true", help="paste the address that the browser ends at"
    )
    command.set_defaults(run=_login)


def _login(given: argparse.Namespace) -> None:
    redirect_uri: str = given.redirect_uri
    sign_in = asyncio.run(_begun(given))
    is_here = urlsplit(redirect_uri).hostname in _LOOPBACK
    if is_here and not given.paste:
        callback_url = asyncio.run(_listened(sign_in, redirect_uri))
    else:
        _show(sign_in, "then paste the address that your browser ends at:")
        # Outside of a loop, whose end would wait for a thread that reads: Ctrl-C would do nothing.
        callback_url = sys.stdin.readline().strip()
    asyncio.run(_connected(given, sign_in, callback_url))


async def _begun(given: argparse.Namespace) -> SignIn:
    async with _app(given, given.redirect_uri) as app:
        return app.sign_in(given.scope or _SCOPES, account=given.account)


async def _connected(given: argparse.Namespace, sign_in: SignIn, callback_url: str) -> None:
    async with _app(given, given.redirect_uri) as app:
        account = await app.connect(sign_in, callback_url)
    print(f"Signed in as {account}; kept in {given.store}.")


async def _listened(sign_in: SignIn, redirect_uri: str) -> str:
    """Wait for the browser at the redirect URI."""
    from aiohttp import web  # noqa: PLC0415 - needed by this command only

    queries: asyncio.Queue[str] = asyncio.Queue()

    async def receive(request: web.Request) -> web.Response:
        state = request.query.get("state", "")
        if not hmac.compare_digest(state.encode(), sign_in.state.encode()):
            return web.Response(status=400, text="This belongs to another sign-in.\n")
        queries.put_nowait(request.query_string)
        return web.Response(text=_DONE)

    address = urlsplit(redirect_uri)
    server = web.Application()
    server.router.add_get(address.path or "/", receive)
    runner = web.AppRunner(server, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, address.hostname, address.port or 80).start()
        _show(sign_in, "and come back here.")
        return f"{redirect_uri}?{await queries.get()}"
    finally:
        await runner.cleanup()


def _show(sign_in: SignIn, words: str) -> None:
    print(f"Open this address in a browser where you are signed in to Fanvue, {words}\n")
    print(f"{sign_in.url}\n", flush=True)


# fanvue whoami


def _add_whoami(commands: Any) -> None:
    command = _add(commands, "whoami", "Show whose token it is.")
    command.set_defaults(run=_whoami)


async def _whoami(given: argparse.Namespace) -> None:
    async with _client(given) as client:
        user = await client.users.me()
    print(f"{user.display_name} (@{user.handle})\n{user.uuid}")


# fanvue request


def _add_request(commands: Any) -> None:
    command = _add(commands, "request", "Call an endpoint and print its response.")
    command.add_argument("method", type=str.upper, help="GET, POST, …")
    command.add_argument("path", help="such as /chats")
    command.add_argument(
        "-p", "--param", action="append", default=[], metavar="NAME=VALUE", help="of the query"
    )
    command.add_argument("--json", metavar="TEXT", help="the body as JSON; - reads it from stdin")
    command.add_argument("--creator", metavar="UUID", help="act for this creator")
    command.set_defaults(run=_request)


def _request(given: argparse.Namespace) -> Coroutine[Any, Any, None]:
    params = _params(given.param)
    # Outside of a loop, as at a sign-in, so that Ctrl-C ends it.
    text = sys.stdin.read() if given.json == "-" else given.json
    return _requested(given, params, None if text is None else _body(text))


async def _requested(given: argparse.Namespace, params: dict[str, list[str]], body: Any) -> None:
    async with _client(given) as client:
        caller: FanvueClient | CreatorClient = client
        if given.creator is not None:
            caller = client.creator(given.creator)
        response = await caller.request(given.method, given.path, json=body, params=params)
    document = response.json()
    if document is not None:
        print(json.dumps(document, indent=2, ensure_ascii=False))


def _params(pairs: list[str]) -> dict[str, list[str]]:
    params: dict[str, list[str]] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator:
            raise ValueError(f"-p takes name=value, not {pair!r}")
        params.setdefault(name, []).append(value)
    return params


def _body(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"--json is not valid JSON: {error}") from None


# fanvue operations, fanvue fake


def _add_operations(commands: Any) -> None:
    command = _add(commands, "operations", "List what this package has methods for.", stored=False)
    command.add_argument("word", nargs="?", default="", help="only lines that contain it")
    command.set_defaults(run=_operations)


def _operations(given: argparse.Namespace) -> None:
    from fanvue_async.operations import operations  # noqa: PLC0415 - imports every noun

    for row in operations():
        mark = "  (assumed: not in the documentation)" if row.assumed else ""
        line = f"{row.id}  {row.method} {row.path}  {' '.join(row.scopes)}  {row.coroutine}{mark}"
        if given.word.lower() in line.lower():
            print(line)


def _add_fake(commands: Any) -> None:
    from fanvue_async.testing import __main__ as fake  # noqa: PLC0415 - the fake's own command

    command = _add(commands, "fake", "Run a server that behaves like the API.", stored=False)
    fake.add_arguments(command)
    command.set_defaults(run=_fake, parser=command)


def _fake(given: argparse.Namespace) -> None:
    from fanvue_async.testing import __main__ as fake  # noqa: PLC0415 - the fake's own command

    fake.run(given.parser, given)


# Whose token it is


@asynccontextmanager
async def _client(given: argparse.Namespace) -> AsyncGenerator[FanvueClient]:
    """Open a client: with the token of the environment, else with a stored grant."""
    async with AsyncExitStack() as stack:
        if given.account is None and os.environ.get(ACCESS_TOKEN):
            yield await stack.enter_async_context(FanvueClient())
            return
        app = await stack.enter_async_context(_app(given, _CALLBACK))
        token = app.token(given.account or await _only_account(app))
        yield await stack.enter_async_context(FanvueClient(token))


async def _only_account(app: OAuthApp) -> str:
    accounts = sorted([account async for account in app.accounts()])
    if not accounts:
        raise ConfigurationError(f"sign in first: fanvue login, or set {ACCESS_TOKEN}")
    if len(accounts) > 1:
        raise ConfigurationError(f"choose an account: --account with one of {', '.join(accounts)}")
    return accounts[0]


@asynccontextmanager
async def _app(given: argparse.Namespace, redirect_uri: str) -> AsyncGenerator[OAuthApp]:
    from fanvue_async.oauth import OAuthApp  # noqa: PLC0415 - not every command needs it
    from fanvue_async.stores import SQLiteStore  # noqa: PLC0415 - likewise

    missing = [name for name in (CLIENT_ID, CLIENT_SECRET) if not os.environ.get(name)]
    if missing:
        words = f"set {' and '.join(missing)}, as Fanvue shows them"
        raise ConfigurationError(f"{words}, or {ACCESS_TOKEN} to call without signing in")
    async with (
        SQLiteStore(given.store) as store,
        OAuthApp(
            os.environ[CLIENT_ID],
            os.environ[CLIENT_SECRET],
            redirect_uri,
            store=store,
            auth_url=os.environ.get(AUTH_URL) or "https://auth.fanvue.com",
        ) as app,
    ):
        yield app


if __name__ == "__main__":
    main()
