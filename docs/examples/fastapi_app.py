"""A web backend (FastAPI) that opens chats on Fanvue, each for the creator who asks for it.

Install and run::

    pip install fanvue-async fastapi uvicorn
    export CREATOR_TOKENS='{"anna": "<the access token of Anna>"}'
    uvicorn fastapi_app:app

    curl -X POST localhost:8000/creators/anna/chats/3fa85f64-5717-4562-b3fc-2c963f66afa6

Your own log-in is left out: it decides who may act for which creator. To try the backend without
the real API, FANVUE_URL may name a server on this machine.
"""

import json
import logging
import math
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, TypedDict
from uuid import UUID

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse

from fanvue_async import (
    AuthenticationError,
    DeadlineExceededError,
    FanvueClient,
    FanvueError,
    NotContactableError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    TransportError,
)

logger = logging.getLogger(__name__)


class State(TypedDict):
    """What every request finds in ``request.state``."""

    fanvue: FanvueClient
    tokens: dict[str, str]


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[State]:
    """Own the client: one for the whole process, so that all requests share its connections."""
    tokens = json.loads(os.environ["CREATOR_TOKENS"])  # in real life, from your database
    async with FanvueClient(
        base_url=os.environ.get("FANVUE_URL", "https://api.fanvue.com"),
        timeout=10,  # a browser is waiting
    ) as fanvue:
        yield {"fanvue": fanvue, "tokens": tokens}


app = FastAPI(lifespan=lifespan)


async def fanvue_of_creator(creator: str, request: Request) -> FanvueClient:
    """Make a view of the client that acts for the creator whom the path names."""
    fanvue: FanvueClient = request.state.fanvue
    token = request.state.tokens.get(creator)
    if token is None:
        raise HTTPException(404, "No such creator.")
    return fanvue.with_options(access_token=token, account=creator)


@app.post("/creators/{creator}/chats/{user}", status_code=201)
async def create_chat(
    user: UUID, fanvue: Annotated[FanvueClient, Depends(fanvue_of_creator)]
) -> dict[str, str]:
    """Open a chat; whatever goes wrong is answered by the handlers below."""
    created = await fanvue.chats.create(user)
    return {"detail": created.message}


@app.exception_handler(NotContactableError)
async def not_contactable(_: Request, __: NotContactableError) -> JSONResponse:
    """Answer 409: asking again changes nothing until the user does."""
    return JSONResponse({"detail": "This user cannot be contacted."}, 409)


@app.exception_handler(AuthenticationError)
@app.exception_handler(PermissionDeniedError)
async def not_allowed(_: Request, __: FanvueError) -> JSONResponse:
    """Answer 403: it is Fanvue's log-in that failed, not ours, so a 401 would mislead."""
    return JSONResponse({"detail": "This creator must connect Fanvue again."}, 403)


@app.exception_handler(RateLimitError)
async def rate_limited(_: Request, error: RateLimitError) -> JSONResponse:
    """Answer 429 and pass on when to come back."""
    seconds = 60 if error.retry_after is None else error.retry_after
    headers = {"Retry-After": f"{math.ceil(seconds)}"}
    return JSONResponse({"detail": "Too many requests to Fanvue."}, 429, headers)


@app.exception_handler(TransportError)
@app.exception_handler(ServerError)
@app.exception_handler(DeadlineExceededError)
async def unavailable(_: Request, error: FanvueError) -> JSONResponse:
    """Answer 503, and say whether the chat may be open all the same."""
    detail = {"detail": "Fanvue is not available.", "maybe_processed": error.maybe_processed}
    return JSONResponse(detail, 503)


@app.exception_handler(FanvueError)
async def unexpected(_: Request, error: FanvueError) -> JSONResponse:
    """Answer 502 for the rest, which somebody should look at."""
    logger.error("%s: %s", type(error).__name__, error)
    return JSONResponse({"detail": "Fanvue refused the request."}, 502)
