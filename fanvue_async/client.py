"""What users hold: a client, and the views on it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

import attrs
from multidict import CIMultiDict

from fanvue_async import auth, config, wire
from fanvue_async.errors import ConfigurationError, DecodeError, InvalidArgumentError
from fanvue_async.limits import RateLimit, rate_limit_of, report_in
from fanvue_async.pool import Pool
from fanvue_async.resources.chats import ChatsResource
from fanvue_async.session import Bounds, Operation, Session

if TYPE_CHECKING:
    import ssl as ssl_module
    from collections.abc import Callable, Sequence
    from types import EllipsisType, TracebackType

    import aiohttp

    from fanvue_async.auth import TokenProvider
    from fanvue_async.config import Limits, RetryPolicy, Timeout
    from fanvue_async.exchange import Answer
    from fanvue_async.retry import RetryEvent

    _Scalar = str | int | float | bool | UUID

# Methods that RFC 9110, 9.2.2 calls idempotent, and those that it does not.
_IDEMPOTENT = {
    "GET": True,
    "HEAD": True,
    "PUT": True,
    "DELETE": True,
    "POST": False,
    "PATCH": False,
}
_ACCOUNT_LENGTH = 256


@attrs.frozen
class Response:
    """A success as it came, of :meth:`FanvueClient.request`."""

    status: int
    """HTTP status code, from 200 to 299."""
    headers: Mapping[str, str]
    """The answer's headers; names compare without case."""
    content: bytes
    """The body, decompressed."""
    rate_limit: RateLimit | None
    """The rate limit as this answer reported it."""
    attempts: int
    """How many requests were sent."""
    _operation: str | None = attrs.field(default=None, init=False, eq=False, repr=False)

    def json(self) -> Any:
        """Decode the body.

        Raises:
            DecodeError: it is not JSON in UTF-8.

        """
        try:
            return wire.loads(self.content)
        except wire.MalformedBodyError as error:
            reason = str(error)
        raise DecodeError(
            message=f"the answer's body is {reason}",
            operation=self._operation,
            attempts=self.attempts,
            maybe_processed=True,
        )


class FanvueClient:
    """A client of the Fanvue API, or a view on one.

    Making one opens nothing and needs no event loop. It belongs to the event loop and the process
    of its first call. Use it in ``async with``, or call :meth:`aclose` at the end.

    Args:
        access_token: the OAuth access token, or a :class:`TokenProvider` that gives one for each
            request. Default: the environment variable ``FANVUE_ACCESS_TOKEN``. Without either,
            the client serves as the root of views that bring their own.
        base_url: where the API is; ``https``, or ``http`` on this machine.
        api_version: sent as ``X-Fanvue-API-Version``.
        timeout: a :class:`Timeout`, or a number of seconds for its ``total``.
        retry: when a call is tried again.
        limits: how many connections are opened; None means ``Limits()``.
        session: an ``aiohttp.ClientSession`` whose connector and tracing are used, and left open.
            Nothing else of it applies. Not together with ``limits``.
        ssl: a TLS context that verifies the server; None means the system's authorities.
        proxy: ``http://[user:password@]host:port``. The environment's proxy variables are ignored.
        user_agent: your application's name, put behind this package's in ``User-Agent``.
        on_retry: called with a :class:`RetryEvent` before each wait for a retry. It must not block.

    Raises:
        ConfigurationError: a setting cannot work. The message never quotes a token.

    """

    __slots__ = ("_is_view", "_session")

    def __init__(  # noqa: PLR0913 - the settings of a client, all but the first by keyword
        self,
        access_token: str | TokenProvider | None = None,
        *,
        base_url: str = "https://api.fanvue.com",
        api_version: str = "2025-06-26",
        timeout: Timeout | float = config.Timeout(),  # noqa: B008 - frozen
        retry: RetryPolicy = config.RetryPolicy(),  # noqa: B008 - frozen
        limits: Limits | None = None,
        session: aiohttp.ClientSession | None = None,
        ssl: ssl_module.SSLContext | None = None,
        proxy: str | None = None,
        user_agent: str | None = None,
        on_retry: Callable[[RetryEvent], None] | None = None,
    ) -> None:
        source, name = auth.from_environment(), auth.ENVIRONMENT
        if access_token is not None:
            source, name = auth.Secret(access_token), "access_token"
        secret_proxy = None if proxy is None else auth.Secret(proxy)
        del access_token, proxy  # out of this frame, which a traceback with locals would show
        pool = Pool(
            base_url=base_url,
            api_version=api_version,
            limits=limits,
            borrowed=session,
            ssl=ssl,
            proxy=secret_proxy,
            user_agent=user_agent,
            on_retry=on_retry,
        )
        credential = auth.Credential(source, name) if source else None
        timeout, retry = config.checked_timeout(timeout), config.checked_retry(retry)
        self._session = Session(pool, credential, None, Bounds(timeout), retry)
        self._is_view = False

    @property
    def chats(self) -> ChatsResource:
        """The chats of the token's account."""
        return ChatsResource(self._session)

    @property
    def rate_limit(self) -> RateLimit | None:
        """The newest rate limit that the API reported for this account, or None."""
        return self._session.rate_limit

    def with_options(
        self,
        *,
        access_token: str | TokenProvider | EllipsisType = ...,
        account: str | EllipsisType = ...,
        timeout: Timeout | float | EllipsisType = ...,
        retry: RetryPolicy | EllipsisType = ...,
    ) -> FanvueClient:
        """Make a view: another client on the same connections, cheap enough for each request.

        What is left out stays as it is. Closing a view closes nothing.

        Args:
            access_token: whom to act for.
            account: a name for that creator, under which rate limit and retry quota are kept when
                the token changes. Default: that of the parent, else the provider's ``account``,
                else each token is an account of its own.
            timeout: a :class:`Timeout`, or a number of seconds for its ``total``.
            retry: when a call is tried again.

        Raises:
            ConfigurationError: an option cannot work, None and an empty token included: a missing
                token must never act as the parent's.

        """
        secret = None if access_token is ... else auth.Secret(access_token)
        del access_token  # out of this frame, which a traceback with locals would show
        view = object.__new__(type(self))
        view._is_view = True
        view._session = self._session.derive(
            credential=auth.Credential(secret, "access_token") if secret else None,
            account=None if account is ... else _checked_account(account),
            timeout=None if timeout is ... else config.checked_timeout(timeout),
            retry=None if retry is ... else config.checked_retry(retry),
        )
        return view

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, _Scalar | Sequence[_Scalar]] | None = None,
        idempotent: bool | None = None,
    ) -> Response:
        """Call an endpoint that this package has no method for, with all its promises.

        Args:
            method: GET, HEAD, POST, PUT, PATCH or DELETE.
            path: the path below the base URL, such as ``"/chats"``, percent-encoded where needed.
            json: what to send as JSON; None sends no body.
            params: the query: str, numbers, booleans, UUIDs, or lists of those. A list repeats its
                key, booleans become ``true`` and ``false``.
            idempotent: whether the call may be repeated when the API may have processed it.
                Default: by method (RFC 9110, 9.2.2), so POST and PATCH are not.

        Returns:
            The answer, whose status is one of success.

        Raises:
            InvalidArgumentError: an argument is refused, before anything is sent.
            APIError: the API answered with another status; each has its own class.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        """
        operation = _operation(method, path, idempotent=idempotent)
        url = self._session.pool.url(path)
        if params is not None:
            url = url.with_query(_query(params, operation.name))
        content = None if json is None else _content(json, operation.name)
        return await self._session.request(operation, content, url)

    async def aclose(self) -> None:
        """Refuse new calls, end those in flight with ClientStateError, close the connections.

        It may be called again, and more than once at a time; if it is cancelled, it must be. On a
        view it does nothing, and a borrowed session stays open.

        Raises:
            ClientStateError: called in another event loop or process than the calls.

        """
        if not self._is_view:
            await self._session.pool.aclose()

    async def __aenter__(self) -> Self:
        self._session.pool.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


def _operation(method: str, path: str, *, idempotent: bool | None) -> Operation[Response]:
    if not isinstance(method, str) or method.upper() not in _IDEMPOTENT:
        raise InvalidArgumentError(message=f"method must be one of {', '.join(_IDEMPOTENT)}")
    if not isinstance(path, str) or not config.is_safe_path(path):
        raise InvalidArgumentError(
            message="path must start with one '/' and be percent-encoded, without query or dots"
        )
    if not isinstance(idempotent, bool | None):
        raise InvalidArgumentError(message="idempotent must be True, False or None")
    method = method.upper()
    by_method = _IDEMPOTENT[method]
    name = f"{method} {path}"
    idempotent = by_method if idempotent is None else idempotent
    return Operation(method, path, idempotent, read=lambda answer: _response(answer, name))


def _response(answer: Answer, operation: str) -> Response:
    response = Response(
        status=answer.status,
        headers=CIMultiDict(answer.headers),  # a copy that can be pickled
        content=answer.content,
        rate_limit=rate_limit_of(report_in(answer.headers)),
        attempts=answer.attempts,
    )
    object.__setattr__(response, "_operation", operation)  # frozen, and none of its arguments
    return response


def _content(json: Any, operation: str) -> bytes:
    try:
        return wire.dumps(json)
    except (TypeError, ValueError, RecursionError) as error:
        reason = type(error).__name__
    raise InvalidArgumentError(
        message=f"json cannot be written as JSON ({reason})", operation=operation
    )


def _query(
    params: Mapping[str, _Scalar | Sequence[_Scalar]], operation: str
) -> list[tuple[str, str]]:
    """Write the query as the API reads it: a list repeats its key, booleans are words."""
    if not isinstance(params, Mapping):
        raise _params_refused(operation)
    pairs: list[tuple[str, str]] = []
    for key, value in params.items():
        for item in value if isinstance(value, list | tuple) else [value]:
            name, text = _query_text(key), _query_text(item)
            if not isinstance(key, str) or name is None or text is None:
                raise _params_refused(operation)
            pairs.append((name, text))
    return pairs


def _params_refused(operation: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        message="params must map str to str, numbers, booleans, UUIDs, or lists of those",
        operation=operation,
    )


def _query_text(value: object) -> str | None:
    """Write one value; None if it is of no kind that a query can hold."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):  # not str(): that of an enum's member is its name
        return str.__str__(value) if wire.is_unicode(value) else None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, int | float | UUID) else None


def _checked_account(account: str) -> str:
    if not isinstance(account, str) or not 0 < len(account) <= _ACCOUNT_LENGTH:
        raise ConfigurationError(
            message=f"account must be a str of 1 to {_ACCOUNT_LENGTH} characters"
        )
    return account
