"""Who sent a delivery, and when: pure functions over its raw bytes and headers.

https://api.fanvue.com/docs/webhooks/signature-verification
"""

from __future__ import annotations

import hmac
import sys
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TypeAlias

import attrs

from fanvue_async.errors import (
    BadSignatureError,
    ConfigurationError,
    InvalidArgumentError,
    MalformedEventError,
    StaleWebhookError,
    UnsignedWebhookError,
    WebhookError,
)

Headers: TypeAlias = Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]]
"""The headers of a delivery, as any framework holds them; names compare without case."""

HEADER = "X-Fanvue-Signature"
TOLERANCE = 300.0
NO_TOLERANCE = "tolerance must be seconds, at least 0, or None"
MAX_BODY = 1024 * 1024

_NAME = HEADER.lower().encode()
_HEADER_LENGTH = 16_384  # room for two hundred values; most servers refuse headers over 8 kB
_TIME_LENGTH = 15  # digits; int() is slow for a long text, and refuses a very long one


@attrs.frozen(repr=False, eq=False)
class Secrets:
    """Signing secrets, which no repr and no traceback with locals shows."""

    keys: tuple[bytes, ...]

    @classmethod
    def of(cls, secrets: Iterable[str | bytes]) -> Secrets:
        """Check the secrets.

        Raises:
            ConfigurationError: there is no secret, or an entry is empty or no text.

        """
        # A single text is a collection of its letters: each of them would be a secret.
        if isinstance(secrets, str | bytes) or not isinstance(secrets, Iterable):
            raise ConfigurationError("secrets must be a collection of secrets, not a single value")
        keys = tuple(map(_key, secrets))
        if not keys or not all(keys):
            raise ConfigurationError("secrets must hold at least one secret, and no empty one")
        return cls(keys)

    def __repr__(self) -> str:
        return "Secrets(…)"


def verify(
    body: bytes,
    headers: Headers,
    *,
    secrets: Iterable[str | bytes],
    received_at: datetime | float | None = None,
    tolerance: float | None = TOLERANCE,
) -> None:
    """Check that Fanvue signed a delivery, and that it did so just now.

    Every secret is tried on every ``v0`` value in constant time, also on the values without a name
    that Fanvue sends while a secret rotates.

    Args:
        body: the raw bytes of the request body, at most 1 MiB; not what a framework parsed and
            wrote again.
        headers: the headers of the request.
        secrets: the signing secrets, in any order: the app's, those of subscriptions made by the
            API, and during a rotation the old one beside the new one.
        received_at: when the delivery came, if it waited in a queue: an aware datetime or unix
            seconds. Default: now.
        tolerance: seconds that the signature may be old, or ahead of this machine's clock. None
            accepts any age, which leaves replays to whoever claims events by their id.

    Raises:
        UnsignedWebhookError: there is no signature header, or it is empty.
        BadSignatureError: no signature matches, or the header is not what Fanvue sends.
        StaleWebhookError: the signature is right, its time is outside the tolerance.
        MalformedEventError: the body is longer than 1 MiB.
        ConfigurationError: ``secrets`` is empty or holds an empty one.
        InvalidArgumentError: ``body`` is not bytes, ``headers`` are none, or a time makes no sense.

    """
    error = judge(body, headers, Secrets.of(secrets), received_at, tolerance)
    if error is not None:
        del body, headers, secrets  # keeps them out of tracebacks with locals
        raise error


def judge(
    body: bytes,
    headers: Headers,
    secrets: Secrets,
    received_at: datetime | float | None,
    tolerance: float | None,
) -> WebhookError | None:
    """Return what is wrong with a delivery, or None."""
    check_body(body)
    now = moment(received_at)
    if not is_tolerance(tolerance):
        raise InvalidArgumentError(NO_TOLERANCE)
    try:
        found = _signatures(headers)
    except (TypeError, ValueError):
        raise InvalidArgumentError(
            "headers must be a mapping, or pairs of name and value"
        ) from None
    if not any(found):
        return UnsignedWebhookError(f"the delivery has no {HEADER} header")
    if len(body) > MAX_BODY:
        return MalformedEventError("the body is longer than 1 MiB")
    single = len(found) == 1 and len(found[0]) <= _HEADER_LENGTH
    signed_at, values = _parts(found[0]) if single else (None, [])
    if signed_at is None or not _matches(body, signed_at, values, secrets):
        return BadSignatureError("no signature of the delivery matches any secret")
    if tolerance is not None and abs(now - int(signed_at)) > tolerance:
        return StaleWebhookError(
            f"the delivery was not signed within {tolerance:g} s of its receipt"
        )
    return None


def check_body(body: bytes) -> None:
    """Refuse what are no bytes."""
    if not isinstance(body, bytes | bytearray | memoryview):
        raise InvalidArgumentError("body must be the raw bytes of the request body")


def sign(body: bytes, secret: str | bytes, at: int) -> str:
    """Return the signature of a body as Fanvue makes it at ``at``, in unix seconds."""
    return hmac.digest(_key(secret), b"%d.%b" % (at, body), "sha256").hex()


def moment(received_at: datetime | float | None) -> float:
    """Return unix seconds; refuse what is no moment."""
    if received_at is None:
        return time.time()
    if isinstance(received_at, datetime):
        if received_at.tzinfo is None:
            raise InvalidArgumentError("received_at must be an aware datetime or unix seconds")
        return received_at.timestamp()
    if not is_number(received_at):
        raise InvalidArgumentError("received_at must be an aware datetime or unix seconds")
    return received_at


def is_tolerance(value: float | None) -> bool:
    """Whether this is a number of seconds, or None for no bound."""
    return value is None or (is_number(value) and value >= 0)


def is_number(value: object) -> bool:
    """Whether this is a finite number and no bool; NaN would pass every comparison."""
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and -sys.float_info.max <= value <= sys.float_info.max
    )


def _key(secret: object) -> bytes:
    """Return the bytes of a secret; none at all if it is not usable."""
    if isinstance(secret, str):
        return secret.encode("utf-8", "surrogatepass")
    return bytes(secret) if isinstance(secret, bytes | bytearray) else b""


def _signatures(headers: Headers) -> list[bytes]:
    """Return all signature headers, those of a multidict too."""
    # Not every framework's headers are a Mapping, but those that are no pairs have items().
    unknown: Any = headers
    pairs: Iterable[tuple[object, object]]
    pairs = unknown.items() if hasattr(unknown, "items") else unknown
    found: list[bytes] = []
    for name, value in pairs:
        if _ascii(name).lower() == _NAME:
            found.append(_ascii(value).strip(b" \t"))
    return found


def _ascii(text: object) -> bytes:
    """Return the bytes of a header; what is not ASCII turns into what no signature contains."""
    if isinstance(text, str):
        return text.encode("ascii", "replace")
    return text if isinstance(text, bytes) else b""


def _parts(header: bytes) -> tuple[bytes | None, list[bytes]]:
    """Split ``t=…,v0=…,…`` into its time, None if that is no usable one, and its values.

    While a secret rotates, Fanvue sends ``v0=<old>,<new>``: a part without a name belongs to the
    name before it. Names of later versions are skipped.
    """
    times: list[bytes] = []
    values: list[bytes] = []
    target = ignored = list[bytes]()
    for part in header.split(b","):
        name, equals, value = part.strip(b" \t").partition(b"=")
        if equals:
            target = times if name == b"t" else values if name == b"v0" else ignored
            target.append(value)
        elif target is values:
            values.append(name)
    usable = len(times) == 1 and times[0].isdigit() and len(times[0]) <= _TIME_LENGTH
    return (times[0] if usable else None), values


def _matches(body: bytes, signed_at: bytes, values: list[bytes], secrets: Secrets) -> bool:
    """Compare every value with every secret's signature, however early one of them matches."""
    signed = b"%b.%b" % (signed_at, body)
    matched = False
    for key in secrets.keys:
        expected = hmac.digest(key, signed, "sha256").hex().encode()
        for value in values:
            matched |= hmac.compare_digest(expected, value)
    return matched
