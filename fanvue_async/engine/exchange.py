"""Exactly one HTTP exchange: the only place that sends a request.

An exchange raises nothing but cancellation. It ends in an ``Answer`` (a status came) or in a
``Failure``. What is known of it on the way is in the request's body.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import aiohttp
from multidict import istr

from fanvue_async.engine import bodies
from fanvue_async.engine.answers import SUCCESS, Answer
from fanvue_async.engine.failures import Failure, chain_of, failure_of
from fanvue_async.engine.transport import RequestBody, not_resent
from fanvue_async.errors import DecodeError, NoAnswerError, ProtocolError
from fanvue_async.log import PASSING

if TYPE_CHECKING:
    from yarl import URL

_ERROR_BODY_PATIENCE = 1.0
_NEVER_RESENT_BY_AIOHTTP = frozenset({"POST", "PATCH"})
_CONTENT_ENCODING = istr("Content-Encoding")


async def exchange(  # noqa: PLR0913, PLR0917 - the sides of a request, from one caller
    http: aiohttp.ClientSession,
    method: str,
    url: URL,
    body: RequestBody,
    headers: Mapping[str, str] | None,
    options: Mapping[str, Any],
    task: asyncio.Task[Any],
) -> Answer | Failure:
    """Send a request and read its answer, in the task that runs.

    ``options`` are aiohttp's that stay the same. What is known on the way is in ``body``.
    """
    cancelling = task.cancelling()
    options = _options_for(method, body, options)
    try:
        response = await http.request(method, url, data=body, headers=headers, **options)
        try:
            return await _read(response, body)
        finally:
            if response.connection is not None:  # not read to its end: no use for another call
                response.close()
                body.abort()
    except PASSING:
        raise
    except asyncio.CancelledError as error:
        body.abort()
        _forget_frames(error)
        del headers, options, url
        if task.cancelling() > cancelling:
            raise
        # The owner of a borrowed session closed it, and aiohttp cancelled what waited in it; or
        # a hook raised an unexpected exception.
        return body.answer or _lost(aiohttp.ClientConnectionError(), body)
    except BaseException as error:  # noqa: BLE001 - aiohttp's, and what hooks in it raise
        body.abort()
        failure = _lost(error, body)
    if task.cancelling() > cancelling:
        del headers, options, url
        raise asyncio.CancelledError  # which a hook replaced by an exception of its own
    return body.answer or failure


def _options_for(method: str, body: RequestBody, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Add what not every request needs."""
    added: dict[str, Any] = {}
    if method not in _NEVER_RESENT_BY_AIOHTTP:
        added["middlewares"] = (not_resent,)
    if "proxy_headers" in options:  # a copy, for tracers write into it
        added["proxy_headers"] = dict(options["proxy_headers"])
    if not body.has_type:
        added["skip_auto_headers"] = ("Content-Type",)
    return {**options, **added} if added else options


def _lost(error: BaseException, body: RequestBody) -> Failure:
    """Make the failure of an exchange that brought no answer."""
    failure = failure_of(error, body)
    _forget_frames(error)
    if failure.stale:
        body.note_dead()
    return failure


async def _read(response: aiohttp.ClientResponse, body: RequestBody) -> Answer | Failure:
    """Let the status decide, then read the body, of an error as far as it comes."""
    status = response.status
    answer = Answer(status, response.headers)
    if status in SUCCESS:
        if response.content.is_eof():  # it came with its head, as a small one does
            answer.content = response.content.read_nowait()
        else:
            await bodies.read(response, answer)
        if _CONTENT_ENCODING in answer.headers or len(answer.content) > bodies.LIMIT:
            return _decoded(answer, body)
        return answer
    if not 300 <= status < 600:  # noqa: PLR2004 - the statuses that end an exchange
        return Failure(ProtocolError, f"the response has the status {status}")
    body.answer = answer
    try:
        async with asyncio.timeout(_ERROR_BODY_PATIENCE):
            await bodies.read(response, answer)
    except TimeoutError:
        pass  # the status is what counts
    finally:
        with suppress(bodies.CutBodyError, bodies.ExcessError):
            answer.content, _ = bodies.decompress(answer.content, _encoding(answer))
    return answer


def _decoded(answer: Answer, body: RequestBody) -> Answer | Failure:
    """Decompress the body of a success."""
    try:
        answer.content, answer.is_whole = bodies.decompress(answer.content, _encoding(answer))
    except bodies.CutBodyError:
        body.note_dead()  # whatever damages one body on its way damages the next
        return Failure(NoAnswerError, "the response body does not decompress", transient=True)
    except bodies.ExcessError:
        return Failure(DecodeError, "the response body goes on behind its end")
    if len(answer.content) > bodies.LIMIT:
        return Failure(DecodeError, f"the response is longer than {bodies.LIMIT} bytes")
    return answer


def _encoding(answer: Answer) -> str | None:
    return answer.headers.get(_CONTENT_ENCODING)


def _forget_frames(error: BaseException) -> None:
    """Cut an exception from the frames of aiohttp, whose locals hold the token.

    aiohttp keeps some of its exceptions in cycles with those frames, and whoever logs a traceback
    with locals would show them.
    """
    for inner in chain_of(error):
        inner.__traceback__ = None
