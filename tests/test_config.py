"""Settings: checked when they are built, refused without a word of what they held."""

from __future__ import annotations

import math
import pickle
import ssl
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.leaks import package_frames, shown_by
from yarl import URL

from fanvue_async import ConfigurationError, FanvueClient, Limits, RetryPolicy, Timeout, config
from fanvue_async.engine.credentials import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

_LOOPBACK = ("127.0.0.1", "::1", "localhost")

# Base URLs


@pytest.mark.parametrize(
    ("text", "url"),
    [
        *(
            (text, text)
            for text in (
                *("https://api.fanvue.com", "https://api.fanvue.com.", "https://api_1.example"),
                *("https://xn--bcher-kva.example", "https://intranet", "https://a-b.c1"),
                *("https://1.0x2.example", "https://" + "a" * 63 + ".example"),
                *("https://" + "a." * 126 + "a", "https://10.0.0.1", "https://[::ffff:7f00:1]"),
                *("https://[::ffff:127.0.0.1]", "https://h:1", "https://h:443", "https://h:65535"),
                *("https://h/api", "https://h:8443/a/b.c/~d_e-f", "https://h/a%20b/%C3%BC"),
                *("https://h/...", "https://h/a..b/.c/d.", "https://h/!$&'()*+,;=:@"),
                # This machine
                *("http://127.0.0.1", "http://127.0.0.1:8080/api", "http://[::1]:8080"),
                "http://localhost",
            )
        ),
        ("https://api.fanvue.com/", "https://api.fanvue.com"),
        ("HTTPS://API.Fanvue.COM", "https://api.fanvue.com"),
        ("https://[2001:DB8::1]", "https://[2001:db8::1]"),
        ("https://h:0443", "https://h:443"),
        ("https://h/api/", "https://h/api"),
        ("https://h/api//", "https://h/api"),
        ("https://h/X/Y/", "https://h/X/Y"),
        ("HTTP://LocalHost:1", "http://localhost:1"),
    ],
)
def test_a_base_url_is_taken(text: str, url: str) -> None:
    """An https URL of host, port and prefix, or http on this machine, in one spelling."""
    assert config.checked_base_url(text) == url
    assert config.is_loopback(url) is url.startswith("http:")
    FanvueClient("token", base_url=text)


_BAD_URLS = [
    # No absolute URL
    *("", " ", "/", "//h", "h", "api.fanvue.com", "https:", "https:h", "https:/h", "https://"),
    *("https:///h", "https://:443", "://h", "?", "https", 5, b"https://h", URL("https://h")),
    # Other schemes
    *("ftp://h", "ws://h", "file:///etc/passwd", "javascript:alert(1)", "httpss://h", "xhttps://h"),
    # http elsewhere, or in a spelling that only some take for this machine
    *("http://api.fanvue.com", "http://127.0.0.1.evil", "http://localhost.evil", "http://127.1"),
    *("http://127.0.0.2", "http://0.0.0.0", "http://0", "http://2130706433", "http://0x7f000001"),
    *("http://0177.0.0.1", "http://127.0.0.1.", "http://localhost."),
    "http://localhost.localdomain",
    *("http://[::ffff:7f00:1]", "http://[::ffff:127.0.0.1]", "http://[::]", "http://[::2]"),
    *("http://127.0.0.1@evil", "http://localhost:80@evil", "http://evil#localhost"),
    *("http://evil\\@localhost", "http://evil?@localhost", "http://localhost:evil"),
    # Userinfo, query, fragment
    *("https://u:p@h", "https://u@h", "https://@h", "https://:@h", "https://u:p@h:443/x"),
    *("https://h?a=b", "https://h/?a=b", "https://h?", "https://h#x", "https://h/#x", "https://h#"),
    # Hosts that are none, or another one to another parser
    *("https://127.1", "https://1", "https://0x7f.1", "https://1.2.3", "https://1.2.3.4.5"),
    "https://a.1",
    *("https://256.0.0.1", "https://01.2.3.4", "https://1.2.3.0x4", "https://127.0.0.1."),
    *("https://a..b", "https://.a", "https://.", "https://a..", "https://-a", "https://a-"),
    *("https://a-.b", "https://a.-b", "https://" + "a" * 64, "https://" + "a." * 126 + "ab"),
    *("https://[::1", "https://::1", "https://[]", "https://[::1]x", "https://[1::2::3]"),
    *("https://[::1%25lo]", "https://[::1%lo]", "https://[v1.x]", "https://[127.0.0.1]"),
    *("https://a b", "https://a%2eb", "https://a,b", "https://a;b", "https://a*b", "https://a|b"),
    # Letters beyond ASCII, with those that a search without case takes for s, k and i
    *("https://b\u00fccher.example", "https://\u043d.example", "https://h\u3002example"),
    *("http\u017f://h", "https://\u017f.example", "https://fan\u212a.example"),
    *("https://\u0130.example", "https://\u0131.example", "https://h/\u00fc", "https://h:\u0664"),
    # Ports
    *("https://h:", "https://h:0", "https://h:65536", "https://h:99999", "https://h:100000"),
    "https://h:000443",
    *("https://h:-1", "https://h:+1", "https://h:a", "https://h:1:2", "https://h: 1"),
    "https://h:1_0",
    # Control characters, spaces and backslashes
    *("https://h\n", "\nhttps://h", " https://h", "https://h ", "https://h\x00", "https://h\t.x"),
    *("https://h/\r\nX: y", "https://h/a b", "https://h/\x7f", "ht\ntps://h", "https://h\u2028"),
    *("https:\\\\h", "https://h\\x", "https://h/\\x", "https://h\\@x", "https://h/a\\..\\b"),
    # Dot segments, empty first ones, broken escapes
    *("https://h/.", "https://h/..", "https://h/./", "https://h/../", "https://h/a/../b"),
    *("https://h/a/.", "https://h/%2e", "https://h/%2E%2e", "https://h/.%2e/x", "https://h/%2e./x"),
    *("https://h//", "https://h//x", "https://h/%", "https://h/%2", "https://h/%zz"),
    "https://h/[x]",
    *('https://h/"', "https://h/<x>", "https://h/`", "https://h/{x}", "https://h/^", "https://h/|"),
]


_hosts = st.sampled_from(
    [*_LOOPBACK, "[::1]", "127.1", "h", "a.example", "127.0.0.1.evil", "[::ffff:7f00:1]", "0x7f.1"]
)
_url_like = st.tuples(
    st.sampled_from(["https://", "http://", "HTTPS://", "Http://", "http\u017f://", "//", ""]),
    _hosts | st.text("abk\u212a\u017f\u0130.-_0x1%[]:@\\\u3002", max_size=8),
    st.sampled_from(["", ":443", ":80", ":0", ":65536", ":\u0661", ":8080"]),
    st.just("") | st.text("/.%2eE5c\\?#@:;~ \n\u00fc", max_size=8).map(lambda rest: "/" + rest),
).map("".join)


@settings(deadline=None, max_examples=1000)
@given(text=_url_like | st.text())
def test_any_base_url_is_refused_or_means_the_same_to_every_parser(text: str) -> None:
    """What is accepted has the scheme and host that its text plainly shows, and a safe path."""
    try:
        url = config.checked_base_url(text)
    except ConfigurationError:
        return
    scheme, _, rest = text.partition("://")
    authority = rest.partition("/")[0]
    shown = authority[1:].partition("]")[0] if authority[0] == "[" else authority.partition(":")[0]

    sent, split = URL(url + "/chats", encoded=True), urlsplit(url + "/chats")
    assert url.isascii()
    assert sent.scheme == split.scheme == scheme.lower()
    assert sent.host == split.hostname == shown.lower()
    assert sent.port == (split.port or {"http": 80, "https": 443}[sent.scheme])
    assert sent.scheme == "https" or sent.host in _LOOPBACK
    assert (sent.user, sent.password, sent.query_string, sent.fragment) == (None, None, "", "")
    # Another parser would resolve dot segments: nothing of the path may go away.
    assert URL(url + "/chats").path.count("/") == sent.raw_path.count("/")
    assert sent.raw_path.endswith("/chats")


# Numbers

# What is taken, and what is out of range.
_NUMBERS: dict[tuple[type[Any], str], tuple[tuple[float, ...], tuple[float, ...]]] = {
    (Timeout, "total"): ((1e-9, 1, 60.0, 86_400), (0, 0.0, -1, 86_400.1)),
    (Timeout, "attempt"): ((1e-9, 1, 60.0, 86_400), (0, 0.0, -1, 86_400.1)),
    (Timeout, "connect"): ((1e-9, 1, 60.0, 86_400), (0, 0.0, -1, 86_400.1)),
    (Limits, "max_connections"): ((1, 100, 65_535), (0, -1, 65_536)),
    (Limits, "keepalive_expiry"): ((0, 0.0, 1e-9, 86_400), (-1e-9, -1, 86_400.1)),
    (RetryPolicy, "max_attempts"): ((1, 3, 10), (0, -1, 11)),
    (RetryPolicy, "wait_initial"): ((0, 0.5, 86_400), (-1e-9, 86_400.1)),
    (RetryPolicy, "wait_max"): ((0, 0.5, 86_400), (-1e-9, 86_400.1)),
    (RetryPolicy, "retry_after_max"): ((0, 0.5, 86_400), (-1e-9, 86_400.1)),
}
_RULES = {
    "max_connections": "from 1 to 65535",
    "max_attempts": "from 1 to 10",
}
_WHOLE = ("max_connections", "max_attempts")
_NO_NUMBERS: list[Any] = [
    *(True, False, None, "5", "", b"5", [5], (5,), {}, 5j, Decimal(5), Fraction(5), object()),
    *(math.nan, math.inf, -math.inf),
]
_BEYOND_FLOATS = (10**400, -(10**400))
every_number = pytest.mark.parametrize(
    ("cls", "name"), _NUMBERS, ids=[name for _, name in _NUMBERS]
)


@every_number
def test_numbers_have_a_range(cls: type[Any], name: str) -> None:
    """Both ends of each range work, and whole numbers where seconds are meant."""
    good, bad = _NUMBERS[cls, name]
    usual = "greater than 0 and at most 86400" if cls is Timeout else "from 0 to 86400"

    for value in good:
        assert getattr(cls(**{name: value}), name) == value
    for value in bad:
        with pytest.raises(ConfigurationError) as caught:
            cls(**{name: value})
        assert caught.value.message == f"{name} must be {_RULES.get(name, usual)}"


@every_number
def test_what_is_no_number_is_refused(cls: type[Any], name: str) -> None:
    """Bools are no numbers, whatever Python says; nor are texts, nan and infinities."""
    kind, floats = ("an integer", [1.0, 2.5]) if name in _WHOLE else ("a number", [])

    for value in [*_NO_NUMBERS, *floats]:
        with pytest.raises(ConfigurationError) as caught:
            cls(**{name: value})
        assert caught.value.message == f"{name} must be {kind}"
    for value in _BEYOND_FLOATS:
        with pytest.raises(ConfigurationError, match=f"^{name} must be "):
            cls(**{name: value})


@pytest.mark.parametrize("value", [0, 1, None, "yes", ""])
def test_repeat_unknown_is_a_bool(value: Any) -> None:
    """A truthy text such as "no" would mean the opposite of what it says."""
    with pytest.raises(ConfigurationError, match=r"^repeat_unknown must be True or False$"):
        RetryPolicy(repeat_unknown=value)


@pytest.mark.parametrize("settings", [Timeout(), Limits(), RetryPolicy(), RetryPolicy.never()])
def test_settings_are_values(settings: Any) -> None:
    """Settings compare, hash, pickle, and cannot be changed behind a client's back."""
    assert settings == attrs.evolve(settings)
    assert len({settings, attrs.evolve(settings)}) == 1
    assert pickle.loads(pickle.dumps(settings)) == settings
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        settings.total = 1


# The other settings


@pytest.mark.parametrize(
    ("check", "text"),
    [
        *(
            (config.checked_api_version, text)
            for text in ("2025-06-26", "2027-01-01", "v1", "1.0_beta", "x" * 64)
        ),
        *(
            (config.checked_user_agent, text)
            for text in (None, "x", "my-bot/1.0 (+https://bot.example)", "x" * 256)
        ),
    ],
)
def test_a_version_or_a_user_agent_is_taken(check: Callable[[Any], object], text: str) -> None:
    """What fits into a header and a log."""
    assert check(text) == text


async def _hook(_: object) -> None:
    """Be no plain function."""


class _Hook:
    """No plain function either."""

    async def __call__(self, _: object) -> None:
        """Do nothing."""


_REFUSED: dict[str, tuple[str, list[Any]]] = {
    # What could send the token elsewhere, or in the clear, or nowhere
    "base_url": ("base_url must ", _BAD_URLS),
    "timeout": (
        r"(timeout|total) must be ",
        [True, None, "5", 0, -1, math.nan, 10**5, RetryPolicy()],
    ),
    "retry": (r"retry must be a RetryPolicy$", [None, 3, True, Timeout(), RetryPolicy]),
    "limits": (r"limits must be a Limits$", [5, {}]),
    "session": (r"session must be an aiohttp\.ClientSession$", ["session", 5]),
    "on_retry": ("on_retry ", [5, "hook", _hook, _Hook()]),
    # What is no token of a header, or could start another one
    "api_version": (
        "api_version must be a str such as ",
        [
            *("", " ", "2025 06", "2025\n", "\u0665", "x" * 65, "a\r\nX: b", "\x00", "a/b"),
            *(None, 5),
        ],
    ),
    "user_agent": (
        "user_agent must be up to 256 printable ASCII",
        [
            *("", " ", " x", "x ", "x\n", "a\tb", "a\r\nX: b", "\u00fc", "\x7f", "x" * 257),
            *(5, b"x"),
        ],
    ),
    # There is no switch that turns verification off
    "ssl": (r"ssl must be an ssl\.SSLContext$", [False, True, "cert.pem", 0, ssl.SSLContext]),
    # Only an address and, with both parts, userinfo make a proxy
    "proxy": (
        "proxy must be http://host:port, with an opt",
        [
            *("", " ", "proxy:3128", "//proxy:3128", "socks5://proxy:1080", "ftp://proxy"),
            *("http://", "http://proxy:3128/path", "http://proxy:3128?x", "http://proxy:3128#x"),
            *("http://pro xy:1", "http://127.1:3128", "http://a..b:1", "http://pr\u00f6xy:1"),
            *("http://\u017f.example:1", "http://user@proxy:1", "http://@proxy:1"),
            *("http://u:p%0D%0A@proxy:1", "http://u:p\n@proxy:1", "http://u:p\x7f@proxy:1"),
            *("http://u:p@", "http://proxy:3128\n", "\nhttp://proxy:3128", "http://proxy:"),
            *("http://proxy:0", "https://proxy:1", "http://proxy:65536", "http://proxy:99999"),
            # RFC 7617: a user-id with a colon cannot be told from its password.
            "http://u%3Aser:p@proxy:1",
            *(5, b"http://proxy:1", URL("http://proxy:1"), True),
        ],
    ),
}


@pytest.mark.parametrize(
    ("setting", "bad"), [(setting, bad) for setting, (_, rows) in _REFUSED.items() for bad in rows]
)
def test_a_setting_that_cannot_work_is_refused(setting: str, bad: Any) -> None:
    """When the client is made, by its name and with its rule."""
    rule, _ = _REFUSED[setting]
    with pytest.raises(ConfigurationError, match=f"^{rule}"):
        FanvueClient("token", **{setting: bad})


def _context(*, verify: ssl.VerifyMode, check_hostname: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = verify
    if check_hostname:
        context.check_hostname = True
    return context


def test_an_ssl_context_that_verifies_is_taken() -> None:
    """None means the system's authorities; an own context must check chain and name."""
    context = _context(verify=ssl.CERT_REQUIRED, check_hostname=True)

    assert config.checked_ssl(None) is None
    assert config.checked_ssl(context) is context
    FanvueClient("token", ssl=context)


@pytest.mark.parametrize("verify", [ssl.CERT_NONE, ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED])
def test_an_ssl_context_that_does_not_verify_is_refused(verify: ssl.VerifyMode) -> None:
    """Neither the chain nor the name may go unchecked."""
    contexts = [_context(verify=verify, check_hostname=False)]
    if verify is ssl.CERT_OPTIONAL:
        contexts.append(_context(verify=verify, check_hostname=True))
    for context in contexts:
        with pytest.raises(ConfigurationError, match=r"^ssl must verify the server's certificate"):
            FanvueClient("token", ssl=context)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (None, None),
        ("http://proxy.example:3128", ("http://proxy.example:3128", None)),
        ("http://proxy.example:3128/", ("http://proxy.example:3128", None)),
        ("http://10.0.0.1:1", ("http://10.0.0.1:1", None)),
        ("http://[::1]:65535", ("http://[::1]:65535", None)),
        ("http://u:p@h:80", ("http://h:80", ("u", "p"))),
        ("http://u:@h:80", ("http://h:80", ("u", ""))),
        ("http://u:p@ss:word@h:80", ("http://h:80", ("u", "p@ss:word"))),
        ("http://u:p://w@h:80", ("http://h:80", ("u", "p://w"))),
        ("http://u:p%40%C3%BC@h:80", ("http://h:80", ("u", "p@\u00fc"))),
        ("http://u%20:%3A%2F@h:80", ("http://h:80", ("u ", ":/"))),
    ],
)
def test_a_proxy_is_split_from_its_password(text: str | None, parts: object) -> None:
    """What becomes the proxy's URL, which aiohttp shows in errors, has no userinfo."""
    assert config.checked_proxy(None if text is None else Secret(text)) == parts
    FanvueClient("token", proxy=text)


_proxy_like = st.tuples(
    st.sampled_from(["http://", "HTTP://", "https://", "socks5://", ""]),
    st.just("") | st.text("u:p%3A@\u00fc\n", max_size=6).map(lambda userinfo: userinfo + "@"),
    _hosts | st.text("ab.-1", max_size=6),
    st.just("") | st.integers(-1, 100_000).map(lambda port: f":{port}"),
).map("".join)


@settings(deadline=None, max_examples=500)
@given(text=_proxy_like | st.text())
def test_any_proxy_is_taken_or_refused(text: str) -> None:
    """No text makes a client fail with anything but the error for bad settings."""
    with suppress(ConfigurationError):
        FanvueClient("token", proxy=text)


# What an error about a setting says

_SECRET = "S3CRET"


@pytest.mark.parametrize(
    "options",
    [
        {"base_url": f"https://user:{_SECRET}@h"},
        {"base_url": f"https://h/?token={_SECRET}"},
        {"base_url": f"https://{_SECRET}..h"},
        {"base_url": f"http://{_SECRET}"},
        {"base_url": f"{_SECRET}"},
        {"api_version": f"{_SECRET}\n"},
        {"user_agent": f"{_SECRET}\n"},
        {"proxy": f"http://u:{_SECRET}@h/x"},
        {"proxy": f"http://{_SECRET}@h:1"},
        {"proxy": f"http://u:{_SECRET}@h:0"},
        {"ssl": "no context", "proxy": f"http://u:{_SECRET}@h:1"},
        {"on_retry": "no hook", "proxy": f"http://u:{_SECRET}@h:1"},
        {"timeout": _SECRET},
        {"retry": _SECRET},
        {"limits": _SECRET},
        {"session": _SECRET},
        {"ssl": _SECRET},
        {"allow_http": _SECRET},
    ],
    ids=str,
)
def test_an_error_quotes_no_setting(options: dict[str, Any]) -> None:
    """It names the setting and the rule: what stood there may have been a secret."""
    with pytest.raises(ConfigurationError) as caught:
        FanvueClient("a-g00d-t0ken", **options)

    error = caught.value
    assert error.message.startswith((*options, "total"))
    assert _SECRET not in f"{error} {error!r} {error.args} {vars(error)}"
    assert len(package_frames(error)) >= 2
    hidden = ["a-g00d-t0ken", *([_SECRET] if "proxy" in options else [])]  # from locals as well
    assert not [secret for secret in hidden if secret in shown_by(error)]
    assert (error.__cause__, error.__context__) == (None, None)
    assert (error.operation, error.attempts, error.maybe_processed) == (None, 0, False)
