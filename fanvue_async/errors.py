"""Every error of this package.

::

    FanvueError
    ├── ConfigurationError (ValueError)      settings that cannot work
    ├── InvalidArgumentError (ValueError)    an argument rejected before anything is sent
    ├── ClientStateError (RuntimeError)      closed client, other event loop, forked process
    ├── TransportError                       no usable response; also any unexpected failure
    │   ├── NotSentError                     the request never left
    │   ├── NoAnswerError                    it left, the response was lost
    │   └── ProtocolError                    what came back was not usable HTTP
    ├── DeadlineExceededError                Timeout.total ran out
    ├── TokenError                           no access token could be obtained
    │   ├── SignInError                      a sign-in was denied, or its callback is not ours
    │   └── SignInRequiredError              the creator must authorize the application again
    ├── StoreError                           the store failed
    ├── WebhookError                         a webhook delivery was rejected
    │   ├── UnsignedWebhookError             it carries no signature
    │   ├── BadSignatureError                no signature matches
    │   ├── StaleWebhookError                it was signed too long ago, or in the future
    │   ├── MalformedEventError              the signature matches, the body is not an event
    │   └── EventInProgressError             another worker is handling it right now
    ├── DecodeError                          a success whose body breaks the contract
    └── APIError                             any status that is not a success
        ├── BadRequestError                  400
        │   ├── UnsupportedVersionError      {error, message}
        │   ├── InvalidRequestError          {errors: […]}
        │   └── NotContactableError          {message}, where the operation says so
        ├── AuthenticationError              401
        ├── PermissionDeniedError            403
        ├── NotFoundError                    404
        ├── ConflictError                    409
        ├── VersionSunsetError               410
        ├── RateLimitError                   429
        └── ServerError                      5xx

They hold plain data only, no token and no object of aiohttp, so they pickle, copy and cross process
boundaries unchanged. ``error.transient`` tells whether the same call may well succeed later.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from http.client import responses
from typing import Any

import attrs


@attrs.frozen
class RateLimit:
    """The rate limit of an account, as the newest response reported it.

    Fanvue documents 200 requests in 60 seconds by default, with other limits on some endpoints:
    https://api.fanvue.com/docs/authentication/rate-limits
    """

    limit: int
    """Requests that one window allows."""
    remaining: int
    """Requests left in this window."""
    reset_at: datetime
    """When the window is filled again, in UTC."""


def _rebuild(cls: type[FanvueError], state: dict[str, Any]) -> FanvueError:
    """Make an error from the fields of a pickle, which may be of another version."""
    error = cls()
    error.__dict__.update(state)
    error.args = (error.message,)
    return error


@attrs.define(slots=False, eq=False, auto_exc=False)
class FanvueError(Exception):
    """Base of all errors of this package; ``str()`` of each is a sentence."""

    transient = False
    """Whether the same call may well succeed later."""

    message: str = ""
    """What happened; of an APIError what the API said, shortened to 500 characters, or ``""``."""
    operation: str | None = attrs.field(default=None, kw_only=True)
    """The call, such as ``"POST /chats"``; None if the error belongs to no call."""
    attempts: int = attrs.field(default=0, kw_only=True)
    """How many requests were tried, the failing one included."""
    maybe_processed: bool = attrs.field(default=False, kw_only=True)
    """Whether the API could have acted, in this attempt or in an earlier one of the same call."""
    looked_for: bool = attrs.field(default=False, kw_only=True)
    """Whether what was sent has been looked for, and was not there (sends with ``confirm``)."""
    cause: str | None = attrs.field(default=None, kw_only=True)
    """Class name, errno and cleaned text of the failure underneath, if there was one."""

    def __attrs_post_init__(self) -> None:
        self.args: tuple[Any, ...] = (self.message,)

    def __reduce__(self) -> tuple[Callable[..., FanvueError], tuple[Any, ...]]:
        return _rebuild, (type(self), self.__dict__.copy())

    def __str__(self) -> str:
        text = self._summary()
        if self.operation:
            text = f"{self.operation}: {text}"
        if self.cause:
            text += f" ({self.cause})"
        if self.attempts > 1:
            text += f", after {self.attempts} attempts"
        if self.maybe_processed:
            text += "; it may already have been processed"
        if self.looked_for:
            text += ", but was not found afterwards"
        return text

    def _summary(self) -> str:
        return self.message or type(self).__name__


class ConfigurationError(FanvueError, ValueError):
    """A setting cannot work: a bad or missing token, an ``http://`` base URL and the like."""


class InvalidArgumentError(FanvueError, ValueError):
    """An argument was rejected before anything was sent."""


class ClientStateError(FanvueError, RuntimeError):
    """The client is closed, or belongs to another event loop or process."""


class TransportError(FanvueError):
    """No usable response came; of this very class only for an unexpected failure."""

    transient = True


@attrs.define(slots=False, eq=False, auto_exc=False)
class NotSentError(TransportError):
    """The last request never left: DNS, refused, connect timeout, TLS, refused by a proxy."""

    transient: bool = attrs.field(default=True, kw_only=True)
    """Whether it may be sent later; not with an untrusted certificate, say."""


class NoAnswerError(TransportError):
    """The request left and its response was lost: reset, cut, or the attempt timed out."""


class ProtocolError(TransportError):
    """The request left and what came back was not usable HTTP."""


class DeadlineExceededError(FanvueError):
    """``Timeout.total`` ran out before the call was done."""

    transient = True


class TokenError(FanvueError):
    """No access token could be obtained: a provider was cancelled, or a refresh failed."""

    transient = True


@attrs.define(slots=False, eq=False, auto_exc=False)
class SignInError(TokenError):
    """A sign-in was denied, or its callback does not belong to it."""

    transient = False

    error: str | None = attrs.field(default=None, kw_only=True)
    """The code of RFC 6749, 4.1.2.1 or 5.2, such as ``"access_denied"``, if there was one."""
    error_description: str | None = attrs.field(default=None, kw_only=True)
    """What the authorization server said about it."""


@attrs.define(slots=False, eq=False, auto_exc=False)
class SignInRequiredError(TokenError):
    """The creator must authorize the application again."""

    transient = False

    account: str | None = attrs.field(default=None, kw_only=True)
    """The account, as it was named when it was connected."""


class StoreError(FanvueError):
    """The store failed; what it was asked to do may or may not have been done."""

    transient = True


class WebhookError(FanvueError):
    """A webhook delivery was rejected. Quotes nothing of the delivery."""


class UnsignedWebhookError(WebhookError):
    """The delivery carries no usable ``X-Fanvue-Signature`` header."""


class BadSignatureError(WebhookError):
    """No signature of the delivery matches any secret."""


class StaleWebhookError(WebhookError):
    """The delivery was signed too long ago, or in the future."""


class MalformedEventError(WebhookError):
    """The signature matches, but the body is not an event."""


class EventInProgressError(WebhookError):
    """Another worker is handling the event right now; ask for it to be delivered again."""

    transient = True


class DecodeError(FanvueError):
    """The API reported success with a body that breaks its contract."""


@attrs.define(slots=False, eq=False, auto_exc=False)
class APIError(FanvueError):
    """The API responded with a status that is not a success."""

    status: int = attrs.field(default=0, kw_only=True)
    """HTTP status code."""
    body: Any = attrs.field(default=None, kw_only=True)
    """The response body: decoded JSON, or its first 2,000 characters, or None if it was empty."""
    retry_after: float | None = attrs.field(default=None, kw_only=True)
    """Seconds that the response asks to wait, if it says so (RFC 9110, 10.2.3)."""
    rate_limit: RateLimit | None = attrs.field(default=None, kw_only=True)
    """The rate limit as this response reported it."""
    request_id: str | None = attrs.field(default=None, kw_only=True)
    """``X-Request-Id`` of the response (assumed: Fanvue documents no request id)."""
    headers: dict[str, str] = attrs.field(factory=dict[str, str], kw_only=True)
    """Those headers of the response that hold no secret, under their usual spelling."""
    from_api: bool = attrs.field(default=True, kw_only=True)
    """False if the response is a proxy's page instead of the API's JSON."""

    @property
    def cf_ray(self) -> str | None:
        """Cloudflare's id of the request (``CF-Ray``), for their support; or None."""
        return self.headers.get("CF-Ray")

    def _summary(self) -> str:
        text = f"{self.status} {responses.get(self.status, '')}".rstrip() if self.status else ""
        return ": ".join(filter(None, (text, self.message))) or type(self).__name__


class BadRequestError(APIError):
    """400: the API rejected the request."""


class UnsupportedVersionError(BadRequestError):
    """400: the API version header is missing or unknown to the API."""


@attrs.define(slots=False, eq=False, auto_exc=False)
class InvalidRequestError(BadRequestError):
    """400: the API's validation rejected the request."""

    errors: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    """What the validation complains about, in the API's words."""


class NotContactableError(BadRequestError):
    """400: the API says that this user can't be messaged."""


class AuthenticationError(APIError):
    """401: no token, or a wrong or expired one."""


class PermissionDeniedError(APIError):
    """403: the token lacks a scope or a right."""


class NotFoundError(APIError):
    """404: there is no such object."""


class ConflictError(APIError):
    """409: the object exists already."""


@attrs.define(slots=False, eq=False, auto_exc=False)
class VersionSunsetError(APIError):
    """410: this version of the API is retired."""

    next_version: str | None = attrs.field(default=None, kw_only=True)
    """The version to change to, if the API named it."""


class RateLimitError(APIError):
    """429: too many requests; ``retry_after`` says when to come back."""

    transient = True


class ServerError(APIError):
    """5xx: the API or a proxy in front of it failed."""

    transient = True


LASTING: tuple[type[FanvueError], ...] = (
    AuthenticationError,
    PermissionDeniedError,
    UnsupportedVersionError,
    VersionSunsetError,
    ConfigurationError,
    ClientStateError,
    SignInRequiredError,
)
"""What every further call would meet, too: token, scope, version, settings, a closed client."""
