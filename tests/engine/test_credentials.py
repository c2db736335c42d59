"""Where a token comes from, what counts as one, and that nothing shows it."""

from __future__ import annotations

import asyncio
import json
import pickle
import re
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.leaks import package_frames, shown_by
from support.stages import Provider
from support.users import USER

from fanvue_async import ConfigurationError, FanvueClient
from fanvue_async.engine.credentials import Bearer, Secret
from fanvue_async.testing import FakeFanvue

if TYPE_CHECKING:
    from collections.abc import Callable


TOKEN = "a-g00d.t0ken~of/this+test=="


def _given(source: Any) -> list[Callable[[], FanvueClient]]:
    """Return the ways to give a client its token."""
    root = FanvueClient(TOKEN)
    return [
        lambda: FanvueClient(source),
        lambda: FanvueClient(access_token=source, timeout=5),
        lambda: root.with_options(access_token=source),
    ]


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
    *(f" {_BAD}", f"{_BAD} ", f"{_BAD} x", f"{_BAD}\n", f"\n{_BAD}", f"{_BAD}\r\nX: y"),
    f"{_BAD}\t",
    *(f"{_BAD}\x00", f"{_BAD}\x7f", f"{_BAD}\u00fc", f"{_BAD}\u0665", f"{_BAD}\u017f"),
    f"{_BAD}\u2028",
    *(f"Bearer {_BAD}", f"={_BAD}", f"{_BAD}=x", f'"{_BAD}"', f"{_BAD},x", f"{_BAD};x"),
    f"{_BAD}:x",
    *(f"{_BAD}@x", f"{_BAD}%20", f"{_BAD}\\x", f"<{_BAD}>", f"{_BAD}!", f"{_BAD}*"),
    f"\ud800{_BAD}",
]


@pytest.mark.parametrize("token", ["", " ", "=", "==", "\n", "\x00", *_BAD_TOKENS], ids=ascii)
def test_a_refused_token_is_not_shown(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the error nor the package's frames in a traceback with locals hold it."""
    builds = _given(token)
    if token.strip(" \n\x00") and token.isprintable():
        monkeypatch.setenv("FANVUE_ACCESS_TOKEN", token)
        builds.append(FanvueClient)
    for build in builds:
        with pytest.raises(ConfigurationError, match=r" must be a token of RFC 6750") as caught:
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
    provider: Any = mock.Mock(Provider)
    for half in ("not callable", None):
        setattr(provider, missing, half)
        if half is None:
            delattr(provider, missing)
        with pytest.raises(ConfigurationError, match=r"^access_token must be a str or a TokenPr"):
            FanvueClient(provider)


# The environment


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


# What is taken out of texts


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
        ("(a.b+c/d)", "([token])"),
        ("xa.b+c/dx", "xa.b+c/dx"),  # less than 8 characters may be a part of any word
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


@pytest.mark.parametrize("holder", [Secret(TOKEN), Bearer(TOKEN)])
def test_a_holder_of_a_token_says_why_it_is_not_pickled(holder: object) -> None:
    """What is refused is named; that nothing else lets the token out, test_security.py shows."""
    with pytest.raises(TypeError, match="what holds a token cannot be pickled or copied"):
        pickle.dumps(holder)


# Providers


async def test_a_falsy_provider_is_one() -> None:
    """What a provider's length or truth says has nothing to do with its tokens."""

    class Empty(Provider):
        def __len__(self) -> int:
            return 0

    provider = Empty("expired", "fake-token")
    async with FakeFanvue() as fake, fake.client(access_token=provider) as client:
        await client.chats.create(USER)
        await client.chats.create(USER)

    assert provider.refused == ["expired"]
    assert provider.asked == len(fake.requests) == 3


async def test_a_provider_whose_invalidate_says_nothing_or_is_cancelled() -> None:
    """What is no coroutine has been done by then; a cancel of nobody's concerns no call."""
    for invalidate in (mock.Mock(), mock.AsyncMock(side_effect=asyncio.CancelledError)):
        provider = mock.Mock(
            get_token=mock.AsyncMock(side_effect=["expired", "fake-token"]), invalidate=invalidate
        )
        async with FakeFanvue() as fake, fake.client(access_token=provider) as client:
            await client.chats.create(USER)

        invalidate.assert_called_once_with("expired")


async def test_a_plain_method_may_return_what_can_be_awaited() -> None:
    """Only a method that says it returns a text, or nothing about it, is refused."""

    class Delegating(Provider):
        def get_token(self) -> Any:
            return super().get_token()

    async with FakeFanvue() as fake, fake.client(access_token=Delegating("fake-token")) as client:
        await client.chats.create(USER)

    assert len(fake.requests) == 1


@pytest.mark.parametrize("account", [None, 5, b"creator-1", ["creator-1"]], ids=repr)
async def test_an_account_that_is_no_text_names_nothing(account: Any) -> None:
    """Whatever else a provider keeps under that name, its token stands for the account."""
    provider = Provider("fake-token")
    setattr(provider, "account", account)  # noqa: B010 - a Provider declares none
    async with FakeFanvue() as fake, fake.client(access_token=provider) as client:
        await client.chats.create(USER)

        assert client.rate_limit is not None
        assert client.with_options(access_token="fake-token").rate_limit == client.rate_limit
