"""Sign-ins: what begins them, what comes back, and what is refused."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest
from support.leaks import shown_by
from support.sign_ins import BACK, SCOPES

from fanvue_async import (
    ClientStateError,
    ConfigurationError,
    FanvueError,
    InvalidArgumentError,
    SignInError,
    SignInRequiredError,
    StoreError,
    TokenError,
)
from fanvue_async.oauth import OAuthApp, SignIn
from fanvue_async.stores import ANY, MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.sign_ins import World

    from fanvue_async.stores import Condition, Entry

_GOOD: dict[str, Any] = {
    "client_id": "fake-client",
    "client_secret": "a-secret",
    "redirect_uri": BACK,
    "store": MemoryStore(),
}


# Settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("client_id", ""),
        ("client_id", None),
        ("client_secret", ""),
        ("client_secret", "line\nbreak"),
        ("redirect_uri", "/callback"),
        ("redirect_uri", "https://bot.example/#fragment"),
        ("redirect_uri", "https://[bad"),
        ("redirect_uri", None),
        ("redirect_uri", b"https://bot.example/back"),
        ("store", object()),
        ("auth_url", "http://auth.example"),
        ("timeout", 11),
        ("timeout|total", 0),
        ("on_sign_in_required", "not a function"),
    ],
)
def test_a_setting_that_cannot_work(name: str, value: Any) -> None:
    """It is told when the app is made, without the secret."""
    with pytest.raises(ConfigurationError, match=name) as caught:
        OAuthApp(**{**_GOOD, name.partition("|")[0]: value})

    assert "a-secret" not in shown_by(caught.value)


def test_a_repr_shows_no_secret() -> None:
    """It tells the application and its server."""
    assert repr(OAuthApp(**_GOOD)) == "<OAuthApp 'fake-client' at https://auth.fanvue.com>"


@pytest.mark.parametrize("scopes", ["read:self", ["read self"], [""], [None], 7, ['"']])
def test_scopes_that_are_none(scopes: object) -> None:
    """One text instead of a list is refused, too."""
    with pytest.raises(ConfigurationError, match="scope"):
        OAuthApp(**_GOOD).sign_in(cast("Any", scopes))


def test_an_account_needs_a_name_or_the_scope_that_tells_it() -> None:
    """Without read:self nobody could tell whose grant it is."""
    app = OAuthApp(**_GOOD)
    with pytest.raises(ConfigurationError, match="read:self"):
        app.sign_in(["read:chat"])

    assert app.sign_in(["read:chat"], account="anna").account == "anna"
    bad: list[Any] = ["", "x" * 257, "a\n", None, []]
    for name in bad:
        with pytest.raises(ConfigurationError, match="account"):
            app.token(name)


async def test_a_sign_in_that_is_none() -> None:
    """Nothing is sent for what a session has lost."""
    with pytest.raises(InvalidArgumentError, match="sign_in"):
        await OAuthApp(**_GOOD).connect(cast("Any", None), f"{BACK}?code=1")


# The way through the browser


def test_a_sign_in_asks_for_what_fanvue_needs() -> None:
    """PKCE, a state, the system scopes; each sign-in its own, and its repr shows none of it."""
    app = OAuthApp(**_GOOD)
    first, second = app.sign_in(SCOPES), app.sign_in(SCOPES)
    query = {name: values[0] for name, values in parse_qs(urlsplit(first.url).query).items()}

    assert first.url.startswith("https://auth.fanvue.com/oauth2/auth?")
    assert query["scope"] == "openid offline_access offline read:self read:chat write:chat"
    assert query["redirect_uri"] == BACK
    assert query["code_challenge_method"] == "S256"
    assert query["state"] == first.state != second.state
    assert 43 <= len(first.code_verifier) <= 128
    assert first.code_verifier != second.code_verifier
    assert first.code_verifier not in first.url
    assert repr(first) == "SignIn(account=None)"
    assert SignIn(**json.loads(json.dumps(attrs.asdict(first)))) == first


async def test_a_creator_signs_in(world: World) -> None:
    """The account has the given name or the creator's UUID, and its token works."""
    app = await world.app()
    named = app.sign_in(SCOPES)
    unnamed = app.sign_in(SCOPES)

    assert await app.connect(named, await world.browse(named), account="anna") == "anna"
    uuid = await app.connect(unnamed, await world.browse(unnamed))
    assert uuid == world.fake.uuid

    assert sorted([account async for account in app.accounts()]) == sorted(["anna", uuid])
    assert app.token("anna") is app.token("anna")
    me = await world.client(app.token("anna")).users.me()
    assert me.uuid == uuid
    request = next(r for r in world.fake.requests if r.path == "/oauth2/token")
    assert "X-Fanvue-API-Version" not in request.headers
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"


async def test_a_callback_is_handled_once(world: World) -> None:
    """A page that is loaded again gives the same account, and uses no code twice."""
    app = await world.app()
    sign_in = app.sign_in(SCOPES)
    callback = await world.browse(sign_in)

    first = await app.connect(sign_in, callback, account="anna")
    assert await app.token("anna").get_token()
    for days in (0, 29):
        world.clock.now += days * 86_400
        assert await (await world.app()).connect(sign_in, callback, account="anna") == first
    assert world.asked == 1


async def test_two_callbacks_at_once(world: World) -> None:
    """One of them finishes the sign-in; the other says so."""
    app = await world.app()
    sign_in = app.sign_in(SCOPES)
    callback = await world.browse(sign_in)

    ends = await asyncio.gather(
        *(app.connect(sign_in, callback, account="anna") for _ in range(3)),
        return_exceptions=True,
    )

    assert ends.count("anna") == 1
    assert sum("already" in str(end) for end in ends) == 2
    assert world.asked == 1


async def test_a_name_that_could_not_be_found_out_is_found_out_later(world: World) -> None:
    """The grant is kept meanwhile: its code is used up."""
    app = await world.app()
    sign_in = app.sign_in(SCOPES)
    callback = await world.browse(sign_in)
    world.fake.reply(500, times=3, on="GET /users/me")
    with pytest.raises(FanvueError):
        await app.connect(sign_in, callback)

    assert await (await world.app()).connect(sign_in, callback) == world.fake.uuid
    assert world.asked == 1


async def test_an_account_is_connected_again(world: World) -> None:
    """The new grant replaces the old one in every process."""
    app, other = await world.app(), await world.app()
    await world.connected(app)
    before = await app.token("anna").get_token()
    world.fake.oauth.revoke()
    await other.token("anna").invalidate(before)
    with pytest.raises(SignInRequiredError):
        await other.token("anna").get_token()

    await world.connected(app)

    assert await app.token("anna").get_token() != before
    assert await other.token("anna").get_token() == await app.token("anna").get_token()


def _with(callback: str, **changes: str | None) -> str:
    fields = {name: values[0] for name, values in parse_qs(urlsplit(callback).query).items()}
    changed = {**fields, **changes}
    return BACK + "?" + "&".join(f"{k}={v}" for k, v in changed.items() if v is not None)


_CHANGES: list[tuple[Callable[[str], str], str]] = [
    (lambda url: _with(url, state="forged"), "another one"),
    (lambda url: _with(url, state=None), "another one"),
    (lambda url: _with(url, state="ä"), "another one"),
    (lambda url: _with(url, error="access_denied", state="forged"), "another one"),
    (lambda url: f"{url}&state=twice", "another one"),
    (lambda url: _with(url, code=None), "no code"),
    (lambda url: _with(url, code=""), "no code"),
    (lambda url: _with(url, code="of-another-application"), "invalid_grant"),
    (lambda _: "https://[bad", "another one"),
    (lambda _: "", "another one"),
    (lambda _: "https://bot.example/back?state=half-\ud83d&code=x", "another one"),
    (lambda url: url.replace("code=", "code=half-\ud83d"), "invalid_grant"),
]


@pytest.mark.parametrize(("change", "words"), _CHANGES)
async def test_a_callback_that_is_not_ours(
    world: World, change: Callable[[str], str], words: str
) -> None:
    """It is a SignInError that quotes nothing, and the true one works afterwards."""
    app = await world.app()
    sign_in = app.sign_in(SCOPES)
    callback = await world.browse(sign_in)

    with pytest.raises(SignInError, match=words) as caught:
        await app.connect(sign_in, change(callback), account="anna")

    _check_no_secrets(caught.value, sign_in, callback)
    assert await app.connect(sign_in, callback, account="anna") == "anna"


async def test_a_creator_who_refuses(world: World) -> None:
    """The server's words are there for the program, and nothing is stored."""
    world.fake.oauth.denial = "access_denied"
    app = await world.app()
    sign_in = app.sign_in(SCOPES)

    with pytest.raises(SignInError) as caught:
        await app.connect(sign_in, await world.browse(sign_in))

    assert caught.value.error == "access_denied"
    assert caught.value.error_description == "The resource owner denied the request"
    assert [account async for account in app.accounts()] == []


@pytest.mark.parametrize(
    ("status", "body", "expected", "words"),
    [
        (500, "<html>Oops</html>", TokenError, "500"),
        (502, "", TokenError, "502"),
        (200, "<html>Hello</html>", TokenError, "DecodeError"),
        (200, "{}", TokenError, "no token"),
        (200, "[]", TokenError, "no token"),
        (200, '{"access_token":"\\ud83d"}', TokenError, "no token"),
        (200, "", TokenError, "no token"),
        (429, "{}", TokenError, "429"),
        (400, '{"error":"invalid_scope"}', SignInError, "invalid_scope"),
        (400, '{"error":7}', TokenError, "400"),
        (401, '{"error":"invalid_client"}', ConfigurationError, "invalid_client"),
    ],
)
async def test_a_token_endpoint_that_fails(
    world: World, status: int, body: str, expected: type[FanvueError], words: str
) -> None:
    """Each is a typed error, and the callback may be tried again."""
    app = await world.app()
    sign_in = app.sign_in(SCOPES)
    callback = await world.browse(sign_in)
    headers = {"Retry-After": "7"} if status == 429 else None
    world.fake.reply(status, body=body, headers=headers, on="POST /oauth2/token")

    with pytest.raises(expected, match=words) as caught:
        await app.connect(sign_in, callback, account="anna")

    _check_no_secrets(caught.value, sign_in, callback)
    assert await app.connect(sign_in, callback, account="anna") == "anna"


async def test_a_wrong_secret(world: World) -> None:
    """It is about the application, and no sign-in is to blame."""
    app = await world.app(secret="wrong + % :")
    sign_in = app.sign_in(SCOPES)
    with pytest.raises(ConfigurationError, match="invalid_client"):
        await app.connect(sign_in, await world.browse(sign_in))


async def test_secrets_of_any_characters(world: World) -> None:
    """They are form-encoded before they are joined (RFC 6749, 2.3.1)."""
    world.fake.oauth.add_client("a client:", "a+b %:c", BACK)
    app = OAuthApp(
        "a client:",
        "a+b %:c",
        BACK,
        store=world.store,
        auth_url=world.fake.url,
        base_url=world.fake.url,
    )
    async with app:
        sign_in = app.sign_in(SCOPES)
        assert await app.connect(sign_in, await world.browse(sign_in), account="anna") == "anna"


async def test_a_server_that_quotes_what_it_was_sent(world: World) -> None:
    """Nothing of it gets into an error."""
    app = await world.app()
    sign_in = app.sign_in(SCOPES)
    callback = await world.browse(sign_in)
    code = parse_qs(urlsplit(callback).query)["code"][0]
    said = f"no {code}, no {sign_in.code_verifier}, no fake-secret"
    world.fake.reply(
        400, json={"error": "invalid_grant", "error_description": said}, on="POST /oauth2/token"
    )

    with pytest.raises(SignInError) as caught:
        await app.connect(sign_in, callback, account="anna")

    assert caught.value.error_description == "no [secret], no [secret], no [secret]"
    _check_no_secrets(caught.value, sign_in, callback)


async def test_a_cancelled_caller_ends_no_sign_in(world: World) -> None:
    """The code is exchanged, and the grant is stored."""
    app = await world.app()
    sign_in = app.sign_in(SCOPES)
    callback = await world.browse(sign_in)
    world.fake.delay(0.1, on="POST /oauth2/token")
    connecting = asyncio.create_task(app.connect(sign_in, callback, account="anna"))
    await asyncio.sleep(0.05)
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting

    await app.aclose()

    assert await (await world.app()).token("anna").get_token()


class _FailingStore(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.failing = ""
        self.left = 0

    async def put(
        self,
        key: str,
        value: bytes,
        *,
        version: str | Condition = ANY,
        expires_in: float | None = None,
    ) -> str | None:
        if self.failing and self.failing in key and self.left:
            self.left -= 1
            raise StoreError("the store failed")
        return await super().put(key, value, version=version, expires_in=expires_in)


@pytest.mark.parametrize("failing", ["unnamed", "grant"])
async def test_a_store_that_fails_after_the_exchange(world: World, failing: str) -> None:
    """Storing is tried again: the code is used up; at last it is a StoreError."""
    world.store = store = _FailingStore()
    app = await world.app()
    for left, works in ((3, True), (10_000, False)):
        sign_in = app.sign_in(SCOPES)
        callback = await world.browse(sign_in)
        store.failing, store.left = failing, left
        if works:
            assert await app.connect(sign_in, callback, account="anna") == "anna"
        else:
            with pytest.raises(StoreError):
                await app.connect(sign_in, callback, account="anna")


# Their end


class SlowStore(MemoryStore):
    """A store that takes a few turns of the loop."""

    async def get(self, key: str) -> Entry | None:
        """Read before a turn."""
        entry = await super().get(key)
        await asyncio.sleep(0)
        return entry

    async def delete(self, key: str, **options: Any) -> bool:
        """Delete between turns."""
        await asyncio.sleep(0)
        deleted = await super().delete(key, **options)
        await asyncio.sleep(0)
        return deleted


async def test_an_account_is_disconnected(world: World) -> None:
    """It is forgotten everywhere, and its grant is ended where the server can do that."""
    app = await world.app()
    token = await world.connected(app)

    assert await app.disconnect("anna")
    assert not await (await world.app()).disconnect("anna")

    assert world.fake.oauth.grants[0].ended_by == "application"
    with pytest.raises(SignInRequiredError, match="is not connected"):
        await token.get_token()


@pytest.mark.parametrize("turns", range(10, 40, 2))
async def test_an_account_is_disconnected_during_a_renewal(world: World, turns: int) -> None:
    """Nobody is given a token from then on, whatever the renewal comes to."""
    world.store = SlowStore(_clock=world.clock)
    app = await world.app()
    token = await world.connected(app)
    await token.get_token()
    world.clock.now += 3_601
    renewing = asyncio.create_task(token.get_token())
    for _ in range(turns):
        await asyncio.sleep(0)

    assert await app.disconnect("anna")

    await asyncio.wait([renewing])
    renewing.exception()
    with pytest.raises(SignInRequiredError, match="is not connected"):
        await token.get_token()


async def test_a_pair_stored_during_a_disconnect_is_ended(world: World) -> None:
    """It is the one that was deleted whose grant ends."""
    app, other = await world.app(), await world.app()
    await world.connected(app)
    world.clock.now += 3_601
    get = world.store.get

    async def slow(key: str) -> Entry | None:
        entry = await get(key)
        world.store.get = get  # type: ignore[method-assign] # of this one object
        await other.token("anna").get_token()
        return entry

    world.store.get = slow  # type: ignore[method-assign] # likewise
    before = len(world.fake.requests)
    assert await app.disconnect("anna")

    ended = [each.body for each in world.fake.requests[before:] if "revoke" in each.path]
    sent = [each.body for each in world.fake.requests[before:] if each.path == "/oauth2/token"]
    used = parse_qs(sent[0].decode())["refresh_token"]
    assert parse_qs(ended[0].decode())["token"] != used


async def test_a_delete_that_the_store_repeats_ends_the_grant(world: World) -> None:
    """redis-py does when a response is lost; the second time there is nothing to delete."""
    app = await world.app()
    await world.connected(app)
    delete = world.store.delete

    async def twice(key: str, **options: Any) -> bool:
        await delete(key, **options)
        return await delete(key, **options)

    world.store.delete = twice  # type: ignore[method-assign] # of this one object
    assert await app.disconnect("anna")
    assert world.fake.oauth.grants[0].ended_by == "application"


async def test_a_server_that_ends_no_grant(world: World) -> None:
    """The account is forgotten all the same; a grant without a refresh token can only be that."""
    app = await world.app()
    await world.connected(app)
    world.fake.reply(404, on="POST /oauth2/revoke")
    assert await app.disconnect("anna")

    world.fake.oauth.changes = {"refresh_token": ...}
    await world.connected(app)
    assert await (await world.app()).disconnect("anna")
    assert [account async for account in app.accounts()] == []


async def test_a_closed_app(world: World) -> None:
    """It refuses everything that needs the network."""
    app = await world.app()
    token = await world.connected(app)
    sign_in = app.sign_in(SCOPES)
    callback = await world.browse(sign_in)
    await app.aclose()
    await app.aclose()

    for call in (
        token.get_token(),
        token.invalidate("any"),
        app.connect(sign_in, callback),
        app.disconnect("anna"),
    ):
        with pytest.raises(ClientStateError):
            await call
    assert [account async for account in app.accounts()] == ["anna"]


def _check_no_secrets(error: FanvueError, sign_in: SignIn, callback: str) -> None:
    shown = shown_by(error)
    code = parse_qs(urlsplit(callback).query)["code"][0]
    for secret in (sign_in.state, sign_in.code_verifier, code, "fake-secret"):
        assert secret not in shown
