"""Where a token comes from, what counts as one, and that nothing shows it."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import re
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.leaks import package_frames, shown_by
from support.users import USER

from fanvue_async import AuthenticationError, ConfigurationError, FanvueClient
from fanvue_async.engine.auth import Bearer, Credential, Secret
from fanvue_async.testing import FakeFanvue

if TYPE_CHECKING:
    from collections.abc import Callable

    from fanvue_async import RetryEvent

TOKEN = "a-g00d.t0ken~of/this+test=="


class Provider:
    """Gives the tokens it was made with, the next one after each ``invalidate``."""

    def __init__(self, *tokens: Any) -> None:
        self.tokens = list(tokens)
        self.asked = 0
        self.refused: list[str] = []

    async def get_token(self) -> Any:
        """Give the token of now."""
        self.asked += 1
        return self.tokens[0]

    async def invalidate(self, token: str) -> None:
        """Go on to the next token."""
        self.refused.append(token)
        del self.tokens[0]


class NamedProvider(Provider):
    """A provider that says whose tokens it gives."""

    account = "creator-1"


class EmptyProvider(Provider):
    """A provider that is falsy, as a collection of no tokens may be."""

    def __len__(self) -> int:
        return 0


def _given(source: Any) -> list[Callable[[], FanvueClient]]:
    """Return the ways to give a client its token."""
    root = FanvueClient(TOKEN)
    return [
        lambda: FanvueClient(source),
        lambda: FanvueClient(access_token=source, timeout=5),
        lambda: root.with_options(access_token=source),
    ]


def _credential(source: object) -> Credential:
    return Credential(Secret(source), "access_token")


# What counts as a token


@pytest.mark.parametrize(
    "token",
    [
        "a",
        "0",
        "-",
        "._~+/",
        "a=",
        "a==",
        "a" + "=" * 50,
        "x" * 4_000,
        "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl-_",
        TOKEN,
    ],
    ids=lambda token: token[:20],
)
async def test_a_token_is_sent_as_it_is(token: str) -> None:
    """Every b64token of RFC 6750, 2.1 reaches the API unchanged."""
    async with FakeFanvue(tokens=[token]) as fake, fake.client() as client:
        await client.chats.create(USER)

    assert [seen.headers["Authorization"] for seen in fake.requests] == [f"Bearer {token}"]


# Each holds this word, to look for it in what refuses it.
_BAD = "s3cr3t"
_BAD_TOKENS = [
    *(
        f" {_BAD}",
        f"{_BAD} ",
        f"{_BAD} x",
        f"{_BAD}\n",
        f"\n{_BAD}",
        f"{_BAD}\r\nX: y",
        f"{_BAD}\t",
    ),
    *(
        f"{_BAD}\x00",
        f"{_BAD}\x7f",
        f"{_BAD}\u00fc",
        f"{_BAD}\u0665",
        f"{_BAD}\u017f",
        f"{_BAD}\u2028",
    ),
    *(
        f"Bearer {_BAD}",
        f"={_BAD}",
        f"{_BAD}=x",
        f'"{_BAD}"',
        f"{_BAD},x",
        f"{_BAD};x",
        f"{_BAD}:x",
    ),
    *(
        f"{_BAD}@x",
        f"{_BAD}%20",
        f"{_BAD}\\x",
        f"<{_BAD}>",
        f"{_BAD}!",
        f"{_BAD}*",
        f"\ud800{_BAD}",
    ),
]


@pytest.mark.parametrize("token", ["", " ", "=", "==", "\n", "\x00", *_BAD_TOKENS], ids=ascii)
def test_a_bad_token_is_refused(token: str) -> None:
    """What aiohttp would send, or refuse on an open connection only, gets no further than this."""
    for build in _given(token):
        with pytest.raises(ConfigurationError, match=r"^access_token must be a token of RFC 6750"):
            build()


@pytest.mark.parametrize("token", _BAD_TOKENS, ids=ascii)
def test_a_refused_token_is_not_shown(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the error nor the package's frames in a traceback with locals hold it."""
    builds = _given(token)
    if token.isprintable():
        monkeypatch.setenv("FANVUE_ACCESS_TOKEN", token)
        builds.append(FanvueClient)
    for build in builds:
        with pytest.raises(ConfigurationError) as caught:
            build()
        assert len(package_frames(caught.value)) >= 2
        assert _BAD not in shown_by(caught.value)
        assert (caught.value.__cause__, caught.value.__context__) == (None, None)


_RFC_6750 = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
_RULE = (
    "access_token must be a token of RFC 6750: "
    "letters, digits and -._~+/ with optional = at the end"
)


@settings(deadline=None, max_examples=500)
@given(token=st.text() | st.text("abZ09-._~+/= \n\u00fc\u017f") | st.from_regex(_RFC_6750))
def test_any_text_is_a_token_or_refused_unquoted(token: str) -> None:
    """The grammar alone decides, and one message for all refused texts quotes none."""
    refusal = None
    try:
        FanvueClient(token)
    except ConfigurationError as error:
        refusal = str(error)

    assert refusal == (None if _RFC_6750.fullmatch(token) else _RULE)


@pytest.mark.parametrize(
    "source", [5, True, b"token", ["token"], object(), object, {"get_token": 1}, json, 5.0]
)
def test_what_is_neither_token_nor_provider_is_refused(source: Any) -> None:
    """A provider has both methods; whatever else is given is no token by chance."""
    for build in _given(source):
        with pytest.raises(ConfigurationError) as caught:
            build()
        assert caught.value.message == "access_token must be a str or a TokenProvider"


@pytest.mark.parametrize("missing", ["get_token", "invalidate"])
def test_half_a_provider_is_refused(missing: str) -> None:
    """A provider without a way to renew its token would be found out by the first 401."""
    provider = Provider(TOKEN)
    setattr(provider, missing, "not callable")

    with pytest.raises(ConfigurationError, match="a TokenProvider"):
        FanvueClient(provider)


@pytest.mark.parametrize("token", [None, ""])
def test_a_view_never_acts_as_its_parent_by_mistake(token: Any) -> None:
    """A request whose token is missing is refused, not sent with the root's token."""
    with pytest.raises(ConfigurationError, match=r"^access_token must be "):
        FanvueClient(TOKEN).with_options(access_token=token)


# The environment


async def test_the_environment_gives_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an argument, FANVUE_ACCESS_TOKEN is read, once, when the client is made."""
    async with FakeFanvue(tokens=[TOKEN]) as fake:
        monkeypatch.setenv("FANVUE_ACCESS_TOKEN", TOKEN)
        async with FanvueClient(base_url=fake.url) as client:
            monkeypatch.setenv("FANVUE_ACCESS_TOKEN", "another")
            await client.chats.create(USER)

    assert fake.requests[0].headers["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("set_to", ["another", "not valid", ""])
async def test_an_argument_wins_over_the_environment(
    set_to: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the variable holds does not matter to who gives a token."""
    monkeypatch.setenv("FANVUE_ACCESS_TOKEN", set_to)
    async with FakeFanvue(tokens=[TOKEN]) as fake, fake.client() as client:
        await client.chats.create(USER)

    assert fake.requests[0].headers["Authorization"] == f"Bearer {TOKEN}"


def test_a_bad_token_in_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says where the token came from."""
    monkeypatch.setenv("FANVUE_ACCESS_TOKEN", "not valid")

    with pytest.raises(ConfigurationError, match=r"^FANVUE_ACCESS_TOKEN must be a token of RFC"):
        FanvueClient()


@pytest.mark.parametrize("set_to", [None, ""])
async def test_without_any_token_nothing_is_sent(
    set_to: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a client is the root of a backend: its views have tokens, it has none to act with."""
    if set_to is not None:
        monkeypatch.setenv("FANVUE_ACCESS_TOKEN", set_to)
    async with FakeFanvue() as fake, FanvueClient(base_url=fake.url) as root:
        with pytest.raises(ConfigurationError, match="no access token") as caught:
            await root.chats.create(USER)
        assert fake.requests == []
        await root.with_options(access_token=fake.token).chats.create(USER)

    assert (caught.value.operation, caught.value.attempts) == ("POST /chats", 0)
    assert not caught.value.maybe_processed
    assert len(fake.requests) == 1


# Nothing shows it


def _holders() -> dict[str, object]:
    client = FanvueClient(TOKEN)
    secret = Secret(TOKEN)
    return {
        "client": client,
        "view": client.with_options(timeout=5),
        "view with a token": FanvueClient("other").with_options(access_token=TOKEN, account="x"),
        "resource": client.chats,
        "session": client._session,
        "pool": client._session.terms.pool,
        "credential": Credential(secret, "access_token"),
        "bearer": Bearer(TOKEN),
        "secret": secret,
    }


def _looks(holder: Any) -> dict[str, Callable[[], object]]:
    """Return what a debugger, a logger or a serializer may do to an object."""
    return {
        "repr": partial(repr, holder),
        "str": partial(str, holder),
        "format": lambda: f"{holder} {[holder]}",
        "percent": lambda: "%s %r" % (holder, holder),  # noqa: UP031 - as loggers do
        "vars": partial(vars, holder),
        "asdict": partial(attrs.asdict, holder),
        "json": partial(json.dumps, holder, default=vars),
        "json with str": partial(json.dumps, holder, default=str),
        "copy": partial(copy.copy, holder),
        "deepcopy": partial(copy.deepcopy, holder),
        **{
            f"pickle {protocol}": partial(pickle.dumps, holder, protocol)
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
        },
    }


@pytest.mark.parametrize("name", _holders())
def test_no_holder_shows_the_token(name: str) -> None:
    """No look at an object brings the token up; what can't be done safely raises."""
    for look in _looks(_holders()[name]).values():
        try:
            shown = repr(look())
        except Exception as error:  # noqa: BLE001 - whatever refuses must not show it either
            shown = f"{error!r} {error.args}"
        assert TOKEN[:10] not in shown


def test_the_repr_of_a_secret_is_constant() -> None:
    """Not even its length or its beginning can be read from it."""
    assert repr(Secret(TOKEN)) == str(Secret("another")) == "<Secret>"


@pytest.mark.parametrize("name", ["credential", "bearer", "secret", "session", "client"])
def test_no_holder_pickles(name: str) -> None:
    """A token does not get into a task queue or a cache on disk by accident."""
    holder = _holders()[name]
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
            pickle.dumps(holder, protocol)


@pytest.mark.parametrize("name", ["bearer", "secret"])
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy], ids=["copy", "deepcopy"])
def test_what_holds_the_text_itself_is_not_copied(
    name: str, copied: Callable[[object], object]
) -> None:
    """There is one place that holds a token's text."""
    with pytest.raises(TypeError, match="what holds a token cannot be pickled or copied"):
        copied(_holders()[name])


async def test_no_log_and_no_event_shows_the_token(caplog: pytest.LogCaptureFixture) -> None:
    """Not even at the lowest level, with an answer that echoes it."""
    caplog.set_level(1)
    events: list[RetryEvent] = []
    async with FakeFanvue(tokens=[TOKEN]) as fake, fake.client(on_retry=events.append) as client:
        fake.reply(
            503, json={"message": TOKEN}, headers={"Sunset": TOKEN[:-2], "X-Request-Id": TOKEN}
        )
        await client.chats.create(USER)

    said = " ".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert {logging.DEBUG, logging.WARNING} <= {record.levelno for record in caplog.records}
    assert len(events) == 1
    assert TOKEN not in f"{said} {events}"


def test_the_bearer_of_a_token_is_known_by_it() -> None:
    """An account's name is a digest: it tells tokens apart and does not give them away."""
    bearer, other = Bearer(TOKEN), Bearer(TOKEN + "=")

    assert dict(bearer.headers) == {"Authorization": f"Bearer {TOKEN}"}
    assert bearer.account == Bearer(TOKEN).account != other.account
    assert TOKEN not in bearer.account
    assert bearer.has(Secret(TOKEN))
    assert not bearer.has(Secret(TOKEN + "="))
    assert not bearer.has(Secret(None))


@settings(deadline=None)
@given(
    token=st.from_regex(r"[a-z0-9.]{8,20}=?", fullmatch=True), ends=st.tuples(st.text(), st.text())
)
def test_redaction_takes_every_token_out(token: str, ends: tuple[str, str]) -> None:
    """Wherever it stands in a text, and however often, the token is gone."""
    redact = Bearer(token).redact

    assert token not in redact(token.join(ends))
    assert redact(f"{token}{token}") == "[token][token]"
    assert redact(ends[0].replace(token, "")) == ends[0].replace(token, "")


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("a.b+c/d", "[token]"),
        ("xa.b+c/dx", "x[token]x"),
        ("a.b+c\\/d", "[token]"),
        ("\\u0061.b+c\\u002Fd, a.b\\u002bc/d", "[token], [token]"),
        ("\\ axb+c/d", "\\ axb+c/d"),
        ("\\ a.bbc/d", "\\ a.bbc/d"),
        ("\\n", "\\n"),
    ],
)
def test_redaction_knows_the_escapes_of_json(text: str, redacted: str) -> None:
    """A token is found behind JSON's escapes too, and what only looks like it is left alone."""
    assert Bearer("a.b+c/d").redact(text) == redacted


# Providers


async def test_a_provider_is_asked_for_each_request() -> None:
    """Its token of now is sent, and the bearer of an unchanged token is built once."""
    provider = Provider("first")
    credential = _credential(provider)
    first = await credential.fetch()
    again = await credential.fetch()
    provider.tokens = ["second"]
    second = await credential.fetch()

    assert first is again
    assert credential.fixed is None
    assert first is not None
    assert second is not None
    assert (first.token, second.token) == ("first", "second")
    assert second.headers["Authorization"] == "Bearer second"
    assert provider.asked == 3


@pytest.mark.parametrize("given", [None, "", "not valid", b"token", 5, "t\n"])
async def test_a_provider_without_a_valid_token_sends_nothing(given: Any) -> None:
    """What a provider gives is checked like any token, and not quoted either."""
    async with FakeFanvue() as fake, fake.client(access_token=Provider(given)) as client:
        with pytest.raises(ConfigurationError, match="the token provider returned no valid token"):
            await client.chats.create(USER)

    assert fake.requests == []


async def test_a_bad_token_of_a_provider_is_not_shown() -> None:
    """The frames of the failed call hold neither the bad token nor an earlier good one."""
    provider = Provider(TOKEN)
    async with FakeFanvue(tokens=[TOKEN]) as fake, fake.client(access_token=provider) as client:
        await client.chats.create(USER)
        provider.tokens = [f"{_BAD} {_BAD}"]
        with pytest.raises(ConfigurationError) as caught:
            await client.chats.create(USER)

    assert len(package_frames(caught.value)) >= 2
    shown = shown_by(caught.value)
    assert _BAD not in shown
    assert TOKEN not in shown
    assert len(fake.requests) == 1


async def test_a_refused_token_is_renewed_once() -> None:
    """After a 401 the provider is told which token failed, and the call goes with the next."""
    provider = Provider("expired", "fake-token")
    async with FakeFanvue() as fake, fake.client(access_token=provider) as client:
        await client.chats.create(USER)

    assert provider.refused == ["expired"]
    assert [seen.headers["Authorization"] for seen in fake.requests] == [
        "Bearer expired",
        "Bearer fake-token",
    ]


async def test_a_second_refusal_is_raised() -> None:
    """A provider whose new token is refused too is not asked for a third."""
    provider = Provider("expired", "revoked", "fake-token")
    async with FakeFanvue() as fake, fake.client(access_token=provider) as client:
        with pytest.raises(AuthenticationError) as caught:
            await client.chats.create(USER)

    assert provider.refused == ["expired"]
    assert len(fake.requests) == caught.value.attempts == 2


async def test_a_fixed_token_is_not_renewed() -> None:
    """There is nobody to ask: a 401 is raised after one request."""
    async with FakeFanvue() as fake, fake.client(access_token="expired") as client:
        with pytest.raises(AuthenticationError):
            await client.chats.create(USER)

    assert len(fake.requests) == 1


async def test_what_a_provider_raises_is_raised() -> None:
    """A provider's failure is its own: neither wrapped nor repeated."""

    class Broken(Provider):
        async def get_token(self) -> str:
            self.asked += 1
            raise LookupError("the vault is sealed")

    provider = Broken()
    async with FakeFanvue() as fake, fake.client(access_token=provider) as client:
        with pytest.raises(LookupError, match="the vault is sealed"):
            await client.chats.create(USER)

    assert provider.asked == 1
    assert fake.requests == []


async def test_a_falsy_provider_is_one() -> None:
    """What a provider's length or truth says has nothing to do with its tokens."""
    provider = EmptyProvider("expired", "fake-token")
    async with FakeFanvue() as fake, fake.client(access_token=provider) as client:
        await client.chats.create(USER)
        await client.chats.create(USER)

    assert provider.refused == ["expired"]
    assert provider.asked == len(fake.requests) == 3


async def test_the_account_is_the_one_that_the_provider_names() -> None:
    """A named account outlives its tokens; without a name, the newest token stands for it."""
    named, nameless = _credential(NamedProvider("t1", "t2")), _credential(Provider("t1", "t2"))

    assert (named.account, nameless.account) == ("creator-1", None)
    bearer = await named.fetch()
    assert bearer is not None
    assert named.account == named.account_of(bearer) == "creator-1"
    bearer = await nameless.fetch()
    assert bearer is not None
    assert nameless.account == nameless.account_of(bearer) == bearer.account
    await nameless.renew(bearer)
    newer = await nameless.fetch()
    assert newer is not None
    assert nameless.account == newer.account != bearer.account


@pytest.mark.parametrize("account", [None, 5, b"creator-1", ["creator-1"]], ids=repr)
async def test_an_account_that_is_no_text_names_nothing(account: Any) -> None:
    """Whatever else a provider keeps under that name, the digest of its token is used."""
    provider = Provider(TOKEN)
    setattr(provider, "account", account)  # noqa: B010 - a Provider declares none
    credential = _credential(provider)

    assert credential.account is None
    bearer = await credential.fetch()
    assert bearer is not None
    assert credential.account == credential.account_of(bearer) == bearer.account


def test_the_account_of_a_fixed_token_is_its_digest() -> None:
    """Two clients with one token share an account's name; the fixed bearer is always at hand."""
    credential = _credential(TOKEN)

    assert credential.fixed is not None
    assert credential.account == credential.account_of(credential.fixed)
    assert credential.account == Bearer(TOKEN).account
    assert _credential(Provider(TOKEN)).fixed is None


async def test_a_rotated_token_keeps_its_accounts_rate_limit() -> None:
    """With a named account, what was learned under the old token holds under the new one."""
    async with FakeFanvue() as fake, fake.client(access_token=NamedProvider("fake-token")) as root:
        await root.chats.create(USER)

        assert root.rate_limit is not None
        renewed = root.with_options(access_token=NamedProvider("next"))
        assert renewed.rate_limit == root.rate_limit
        assert root.with_options(access_token=Provider("fake-token")).rate_limit is None
