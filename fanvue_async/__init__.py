"""An asyncio-native client of the Fanvue API."""

from fanvue_async.auth import TokenProvider
from fanvue_async.client import FanvueClient, Response
from fanvue_async.config import Limits, RetryPolicy, Timeout
from fanvue_async.errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ClientStateError,
    ConfigurationError,
    ConflictError,
    DeadlineExceededError,
    DecodeError,
    FanvueError,
    InvalidArgumentError,
    InvalidRequestError,
    NoAnswerError,
    NotContactableError,
    NotFoundError,
    NotSentError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitError,
    ServerError,
    TransportError,
    UnsupportedVersionError,
    VersionSunsetError,
)
from fanvue_async.limits import RateLimit
from fanvue_async.resources.chats import ChatsResource, CreatedChat
from fanvue_async.retry import RetryEvent
from fanvue_async.version import __version__

__all__ = [
    "APIError",
    "AuthenticationError",
    "BadRequestError",
    "ChatsResource",
    "ClientStateError",
    "ConfigurationError",
    "ConflictError",
    "CreatedChat",
    "DeadlineExceededError",
    "DecodeError",
    "FanvueClient",
    "FanvueError",
    "InvalidArgumentError",
    "InvalidRequestError",
    "Limits",
    "NoAnswerError",
    "NotContactableError",
    "NotFoundError",
    "NotSentError",
    "PermissionDeniedError",
    "ProtocolError",
    "RateLimit",
    "RateLimitError",
    "Response",
    "RetryEvent",
    "RetryPolicy",
    "ServerError",
    "Timeout",
    "TokenProvider",
    "TransportError",
    "UnsupportedVersionError",
    "VersionSunsetError",
    "__version__",
]
