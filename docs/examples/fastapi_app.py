"""A web backend (FastAPI) that opens chats on Fanvue, each for the creator who asks.

Install and run::

    pip install /path/to/the/clone fastapi uvicorn
    export CREATOR_TOKENS='{"anna": "<the access token of Anna>"}'
    uvicorn fastapi_app:app

    curl -X POST localhost:8000/creators/anna/chats/3fa85f64-5717-4562-b3fc-2c963f66afa6

Your own login is left out: it decides who may act for which creator. To try it without the real
API, set FANVUE_BASE_URL to a server on this machine.
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
    FanvueClient,
    FanvueError,
    NotContactableError,
    PermissionDeniedError,
    RateLimitError,
)

logger = logging.getLogger(__name__)


class State(TypedDict):
    """What every request finds in ``request.state``."""

    fanvue: FanvueClient
    tokens: dict[str, str]


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[State]:
    """Own the client: one per process, so all requests share its connections."""
    tokens = json.loads(os.environ["CREATOR_TOKENS"])  # in real life, from your database
    async with FanvueClient(timeout=10) as fanvue:  # a browser is waiting
        yield {"fanvue": fanvue, "tokens": tokens}


app = FastAPI(lifespan=lifespan)


async def fanvue_of_creator(creator: str, request: Request) -> FanvueClient:
    """Make a scoped client that acts for the creator in the path."""
    fanvue: FanvueClient = request.state.fanvue
    token = request.state.tokens.get(creator)
    if token is None:
        raise HTTPException(404, "No such creator.")
    return fanvue.with_options(access_token=token, account=creator)


@app.post("/creators/{creator}/chats/{user}", status_code=201)
async def create_chat(
    user: UUID, fanvue: Annotated[FanvueClient, Depends(fanvue_of_creator)]
) -> dict[str, str]:
    """Open a chat; the handlers below turn errors into responses."""
    created = await fanvue.chats.create(user)
    return {"detail": created.message}


@app.exception_handler(NotContactableError)
async def not_contactable(_: Request, __: NotContactableError) -> JSONResponse:
    """Respond 409: asking again changes nothing."""
    return JSONResponse({"detail": "This user can't be messaged."}, 409)


@app.exception_handler(AuthenticationError)
@app.exception_handler(PermissionDeniedError)
async def not_allowed(_: Request, __: FanvueError) -> JSONResponse:
    """Respond 403: a 401 would say that our own login failed, not Fanvue's."""
    return JSONResponse({"detail": "This creator must connect Fanvue again."}, 403)


@app.exception_handler(RateLimitError)
async def rate_limited(_: Request, error: RateLimitError) -> JSONResponse:
    """Respond 429 and say when to try again."""
    seconds = 60 if error.retry_after is None else error.retry_after
    headers = {"Retry-After": f"{math.ceil(seconds)}"}
    return JSONResponse({"detail": "Too many requests to Fanvue."}, 429, headers)


@app.exception_handler(FanvueError)
async def failed(_: Request, error: FanvueError) -> JSONResponse:
    """Respond 503 if it may pass, else 502: somebody should look into it."""
    if error.transient:
        detail = {"detail": "Fanvue is not available.", "maybe_processed": error.maybe_processed}
        return JSONResponse(detail, 503)
    logger.error("%s: %s", type(error).__name__, error)
    return JSONResponse({"detail": "Fanvue refused the request."}, 502)
