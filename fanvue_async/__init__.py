"""An asyncio-native client for the Fanvue API."""

from typing import TYPE_CHECKING

from fanvue_async.client import CreatorClient, FanvueClient
from fanvue_async.config import Limits, RateLimits, RetryPolicy, Timeout
from fanvue_async.engine.credentials import TokenProvider
from fanvue_async.engine.notices import RetryEvent
from fanvue_async.errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    BadSignatureError,
    ClientStateError,
    ConfigurationError,
    ConflictError,
    DeadlineExceededError,
    DecodeError,
    EventInProgressError,
    FanvueError,
    InvalidArgumentError,
    InvalidRequestError,
    MalformedEventError,
    NoAnswerError,
    NotContactableError,
    NotFoundError,
    NotSentError,
    PermissionDeniedError,
    ProtocolError,
    RateLimit,
    RateLimitError,
    ServerError,
    SignInError,
    SignInRequiredError,
    StaleWebhookError,
    StoreError,
    TokenError,
    TransportError,
    UnsignedWebhookError,
    UnsupportedVersionError,
    VersionSunsetError,
    WebhookError,
)
from fanvue_async.raw import Response
from fanvue_async.version import __version__

if TYPE_CHECKING:
    from fanvue_async.resources.chats import ChatsResource, CreatedChat
else:
    # A noun is imported when it is first used, and msgspec with it.
    _LAZY = {
        "ChatsResource": "fanvue_async.resources.chats",
        "CreatedChat": "fanvue_async.resources.chats",
    }

    def __getattr__(name: str) -> object:
        """Import a name that belongs to a noun (PEP 562)."""
        if name not in _LAZY:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module  # noqa: PLC0415 - likewise

        value = globals()[name] = getattr(import_module(_LAZY[name]), name)
        return value


__all__ = [
    "APIError",
    "AuthenticationError",
    "BadRequestError",
    "BadSignatureError",
    "ChatsResource",
    "ClientStateError",
    "ConfigurationError",
    "ConflictError",
    "CreatedChat",
    "CreatorClient",
    "DeadlineExceededError",
    "DecodeError",
    "EventInProgressError",
    "FanvueClient",
    "FanvueError",
    "InvalidArgumentError",
    "InvalidRequestError",
    "Limits",
    "MalformedEventError",
    "NoAnswerError",
    "NotContactableError",
    "NotFoundError",
    "NotSentError",
    "PermissionDeniedError",
    "ProtocolError",
    "RateLimit",
    "RateLimitError",
    "RateLimits",
    "Response",
    "RetryEvent",
    "RetryPolicy",
    "ServerError",
    "SignInError",
    "SignInRequiredError",
    "StaleWebhookError",
    "StoreError",
    "Timeout",
    "TokenError",
    "TokenProvider",
    "TransportError",
    "UnsignedWebhookError",
    "UnsupportedVersionError",
    "VersionSunsetError",
    "WebhookError",
    "__version__",
]
