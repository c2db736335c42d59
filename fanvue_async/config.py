"""Settings, checked when they are built, so a bad one never reaches a request."""

from __future__ import annotations

import inspect
import math
import os
import re
import ssl
from collections.abc import Callable
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

import attrs

from fanvue_async.errors import ConfigurationError
from fanvue_async.stores import Store

if TYPE_CHECKING:
    from fanvue_async.engine.credentials import Secret

_H = TypeVar("_H")
BASE_URL = "https://api.fanvue.com"
BASE_URL_VARIABLE = "FANVUE_BASE_URL"
# The class below ssl.SSLContext, which truststore replaces by one of its own.
_CONTEXT: type = ssl.SSLContext.__mro__[-2]
_DAY = 86_400.0
_LOOPBACK = frozenset({"127.0.0.1", "[::1]", "localhost"})
_ORIGIN = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?",
    re.IGNORECASE | re.ASCII,  # or the long s of Unicode would be one of https
)
_PATH = re.compile(r"/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*")
_DOT_SEGMENT = re.compile(r"/(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)
_VERSION = re.compile(r"[0-9A-Za-z._-]{1,64}")
_USER_AGENT = re.compile(r"[!-~](?:[ -~]{0,254}[!-~])?")
_ACCOUNT_LENGTH = 256
_HOST_LENGTH = 253
_LABEL_LENGTH = 63


def _number(
    low: float, high: float, *, above: bool = False, whole: bool = False
) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    """Make an attrs validator for a finite number; bools are rejected, although they are ints."""
    rule = f"greater than {low:g} and at most {high:g}" if above else f"from {low:g} to {high:g}"

    def check(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        kinds = int if whole else (int, float)
        is_finite = not isinstance(value, float) or math.isfinite(value)
        if isinstance(value, bool) or not isinstance(value, kinds) or not is_finite:
            raise ConfigurationError(
                f"{attribute.name} must be {'an integer' if whole else 'a number'}"
            )
        if not (low < value if above else low <= value) or value > high:
            raise ConfigurationError(f"{attribute.name} must be {rule}")

    return check


def _boolean(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, bool):
        raise ConfigurationError(f"{attribute.name} must be True or False")


@attrs.frozen
class Timeout:
    """How long a call may take, in seconds, each up to one day.

    Raises:
        ConfigurationError: a value is not a finite number, or out of range.

    """

    total: float = attrs.field(default=60.0, validator=_number(0, _DAY, above=True))
    """The whole call: waiting for a free connection, all attempts, all waits, decoding."""
    attempt: float = attrs.field(default=15.0, validator=_number(0, _DAY, above=True))
    """One attempt, from the end of the queue to the last byte of the response."""
    connect: float = attrs.field(default=5.0, validator=_number(0, _DAY, above=True))
    """The part of an attempt that looks up, connects and does the TLS handshake."""


@attrs.frozen
class Limits:
    """How many connections a client opens, and how long it keeps idle ones.

    Raises:
        ConfigurationError: a value is not a finite number, or out of range.

    """

    max_connections: int = attrs.field(default=100, validator=_number(1, 65_535, whole=True))
    """Connections open at once; further calls wait in a queue, bounded by ``Timeout.total``."""
    keepalive_expiry: float = attrs.field(default=4.0, validator=_number(0, _DAY))
    """Seconds after which an idle connection is not used again; 0 closes each after its response.

    It should be less than what the server allows; Fanvue's own limit is not documented, and
    common servers close after 5 seconds.
    """


@attrs.frozen
class _Drain:
    drain: float = attrs.field(validator=_number(0, _DAY))


@attrs.frozen
class RetryPolicy:
    """When and how often a call is tried again after a transient failure.

    Raises:
        ConfigurationError: a value is out of range or of the wrong type.

    """

    max_attempts: int = attrs.field(default=3, validator=_number(1, 10, whole=True))
    """Attempts in all, the first one included."""
    wait_initial: float = attrs.field(default=0.5, validator=_number(0, _DAY))
    """Seconds: retry k waits a random time up to ``wait_initial * 2**(k - 1)``."""
    wait_max: float = attrs.field(default=8.0, validator=_number(0, _DAY))
    """Seconds: the upper end of that range never grows over this."""
    retry_after_max: float = attrs.field(default=30.0, validator=_number(0, _DAY))
    """Seconds: if a server asks for a longer wait, the error is raised immediately."""
    repeat_unknown: bool = attrs.field(default=True, validator=_boolean)
    """Whether an idempotent call is repeated when the API may have processed it already.

    False repeats only what provably never left.
    """

    @classmethod
    def never(cls) -> RetryPolicy:
        """Make the policy of a single attempt."""
        return cls(max_attempts=1)


def checked_store(value: Store) -> Store:
    """Return a store.

    Raises:
        ConfigurationError: it is none.

    """
    if isinstance(value, Store):
        return value
    raise ConfigurationError("store must be a fanvue_async.stores.Store")


def _is_store(_: Any, __: attrs.Attribute[Any], value: Any) -> None:
    if value is not None:
        checked_store(value)


def _is_hook(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    checked_hook(value, attribute.name)


@attrs.frozen
class RateLimits:
    """Wait for the API's rate limit instead of raising its 429.

    What a bucket holds is read from the API's own ``X-RateLimit-*`` headers. Calls wait before
    they are sent, first come, first served, inside ``Timeout.total``.

    Raises:
        ConfigurationError: a value is out of range or of the wrong type.

    """

    max_wait: float = attrs.field(default=60.0, validator=_number(0, _DAY))
    """Seconds that one call waits at most; one that would wait longer fails immediately."""
    store: Store | None = attrs.field(default=None, validator=_is_store)
    """Where processes share their limits; None keeps to this process."""
    on_wait: Callable[[str, float], None] | None = attrs.field(default=None, validator=_is_hook)
    """Called with the bucket and the least seconds, as far as they are known, before a call waits.

    It must not block, and is not called for less than 0.1 s.

    A bucket is named by its account, and ``account/creator`` for a creator's.
    """


def plain_text(value: str) -> str:
    """Return the plain text of a str, whatever its subclass makes of it.

    What is checked must be what is sent: in Python 3.11 the ``str()`` of an enumeration's member is
    its name.
    """
    return str.__str__(value)


def base_url_from_environment() -> tuple[str, str]:
    """Return the base URL to use if no argument gives one, and its source."""
    value = os.environ.get(BASE_URL_VARIABLE)
    return (value, BASE_URL_VARIABLE) if value else (BASE_URL, "base_url")


def checked_base_url(text: str, name: str = "base_url", *, allow_http: bool = False) -> str:
    """Return the base URL without a trailing slash, or refuse it.

    Raises:
        ConfigurationError: not an absolute https URL of host, port and path; http is for loopback,
            or for all hosts with ``allow_http``.

    """
    if not isinstance(allow_http, bool):
        raise ConfigurationError("allow_http must be True or False")
    if not isinstance(text, str):
        raise ConfigurationError(f"{name} must be a str")
    text = plain_text(text)
    origin = _ORIGIN.match(text)
    if origin is None:
        raise ConfigurationError(
            f"{name} must be https://host, with an optional port and path, in ASCII"
        )
    path = text[origin.end() :]
    if path and not is_safe_path(path):
        raise ConfigurationError(
            f"{name} must end with its path: no userinfo, query, fragment or dot segment"
        )
    if not _is_reachable(origin):
        raise ConfigurationError(f"{name} must name a valid host and port")
    scheme, host, port = origin["scheme"].lower(), origin["host"].lower(), origin["port"]
    if scheme == "http" and host not in _LOOPBACK and not allow_http:
        raise ConfigurationError(
            f"{name} must use https; http is for 127.0.0.1, [::1] and localhost only, "
            "or for a test server elsewhere with allow_http=True"
        )
    return f"{scheme}://{host}{f':{int(port)}' if port else ''}{path.rstrip('/')}"


def is_loopback(base_url: str) -> bool:
    """Return whether a checked base URL is one of this machine."""
    origin = _ORIGIN.match(base_url)
    return origin is not None and origin["host"] in _LOOPBACK


def _is_reachable(origin: re.Match[str]) -> bool:
    """Return whether an origin's host and port can be those of a server."""
    port = origin["port"]
    return _is_host(origin["host"].lower()) and (port is None or 0 < int(port) < 65_536)  # noqa: PLR2004 - TCP's range


def _is_host(host: str) -> bool:
    """Return whether ``host`` is a name or an address that means the same to every parser."""
    if host.startswith("["):
        return _is_address(IPv6Address, host[1:-1])
    labels = host.removesuffix(".").split(".")
    last = labels[-1]
    if last.isdigit() or last.startswith("0x"):  # 127.1 and 0x7f.1 are 127.0.0.1 to some
        return _is_address(IPv4Address, host)
    return len(host) <= _HOST_LENGTH and all(
        0 < len(label) <= _LABEL_LENGTH and label[0] != "-" != label[-1] for label in labels
    )


def _is_address(kind: type[IPv4Address | IPv6Address], text: str) -> bool:
    try:
        kind(text)
    except AddressValueError:
        return False
    return True


def is_safe_path(path: str) -> bool:
    """Return whether a path can only stay below the base URL: RFC 3986, no ``//`` or ``..``."""
    return (
        _PATH.fullmatch(path) is not None
        and not path.startswith("//")
        and not _DOT_SEGMENT.search(path)
    )


def checked_api_version(text: str) -> str:
    """Return the value of the ``X-Fanvue-API-Version`` header, or refuse it."""
    if not isinstance(text, str) or not _VERSION.fullmatch(text):
        raise ConfigurationError("api_version must be a str such as '2025-06-26'")
    return plain_text(text)


def checked_timeout(value: Timeout | float) -> Timeout:
    """Return a Timeout; a plain number means its ``total``."""
    if isinstance(value, Timeout):
        return value
    return Timeout(total=value)


def check_drain(seconds: float) -> None:
    """Raise ConfigurationError unless these are seconds to wait, up to a day."""
    _Drain(seconds)


def checked_retry(value: RetryPolicy) -> RetryPolicy:
    """Return the policy; raise ConfigurationError unless it is a RetryPolicy."""
    if not isinstance(value, RetryPolicy):
        raise ConfigurationError("retry must be a RetryPolicy")
    return value


def checked_user_agent(text: str | None) -> str | None:
    """Return the application's part of the ``User-Agent`` header, or refuse it."""
    if text is not None and not (isinstance(text, str) and _USER_AGENT.fullmatch(text)):
        raise ConfigurationError("user_agent must be up to 256 printable ASCII characters")
    return text if text is None else plain_text(text)


def checked_account(name: str) -> str:
    """Return the name of an account, which stands in logs and in keys of a store."""
    is_text = isinstance(name, str) and 0 < len(name) <= _ACCOUNT_LENGTH
    if not is_text or not plain_text(name).isprintable():
        raise ConfigurationError("account must be a str of 1 to 256 printable characters")
    return plain_text(name)


def checked_hook(hook: _H | None, name: str = "on_retry") -> _H | None:
    """Return a hook; an async one is rejected."""
    if hook is None:
        return None
    call: object = getattr(hook, "__call__", None)  # noqa: B004 - of an object, it may be async
    if call is None or inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(call):
        raise ConfigurationError(f"{name} must be a plain function, not a coroutine")
    return hook


def checked_ssl(context: ssl.SSLContext | None) -> ssl.SSLContext | None:
    """Return the TLS context; one that does not verify the server is refused."""
    if context is None:
        return None
    if not isinstance(context, _CONTEXT):
        raise ConfigurationError("ssl must be an ssl.SSLContext")
    if context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname:
        raise ConfigurationError("ssl must verify the server's certificate and host name")
    return context


def checked_proxy(url: Secret | None) -> tuple[str, tuple[str, str] | None] | None:
    """Split a proxy URL into its address, user and password, or refuse it."""
    if url is None:
        return None
    parts = _proxy_parts(url.reveal())
    if parts is None:  # raised here, in a frame that does not know the password
        raise ConfigurationError("proxy must be http://host:port, with an optional user:password@")
    return parts


def _proxy_parts(text: object) -> tuple[str, tuple[str, str] | None] | None:
    if not isinstance(text, str):
        return None
    scheme, separator, rest = plain_text(text).partition("://")
    userinfo, at, authority = rest.rpartition("@")
    address = f"{scheme}{separator}{authority.removesuffix('/')}"
    origin = _ORIGIN.fullmatch(address)
    if origin is None or origin["scheme"].lower() != "http" or not _is_reachable(origin):
        return None
    if not at:
        return address, None
    user, colon, password = (unquote(part) for part in userinfo.partition(":"))
    if not colon or ":" in user or not f"{user}{password}".isprintable():
        return None
    return address, (user, password)


def checked_rate_limits(value: RateLimits | None) -> RateLimits | None:
    """Return the settings, or raise ConfigurationError unless they are a RateLimits."""
    if value is not None and not isinstance(value, RateLimits):
        raise ConfigurationError("rate_limits must be a RateLimits")
    return value
