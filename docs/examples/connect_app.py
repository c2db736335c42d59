"""A web backend (FastAPI) where creators connect their account; see connect_bot.py for the bot.

Install and run, with as many workers as you like::

    pip install /path/to/the/clone fastapi uvicorn
    export FANVUE_CLIENT_ID=… FANVUE_CLIENT_SECRET=…
    export FANVUE_REDIRECT_URI=http://localhost:8000/callback  # as it is registered
    uvicorn connect_app:app --workers 4 --no-access-log

Then open http://localhost:8000/connect/anna. Your own log-in is left out: it decides who may
connect, and act for, which creator.
"""

import json
import os
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, TypedDict
from uuid import UUID

import attrs
from connect_store import open_app, open_store
from fastapi import Cookie, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, RedirectResponse

from fanvue_async import FanvueClient, FanvueError, SignInError, SignInRequiredError
from fanvue_async.oauth import OAuthApp, SignIn
from fanvue_async.stores import Store

SCOPES = ["read:self", "read:chat", "write:chat"]
SECONDS = 600  # that a creator may take to agree


class State(TypedDict):
    """What every request finds in ``request.state``."""

    store: Store
    oauth: OAuthApp
    fanvue: FanvueClient


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[State]:
    """Own store, application and client: each worker its own, all on the same storage."""
    async with (
        open_store() as store,
        open_app(store) as oauth,
        FanvueClient(timeout=10) as fanvue,  # a browser is waiting
    ):
        yield {"store": store, "oauth": oauth, "fanvue": fanvue}


app = FastAPI(lifespan=lifespan)


@app.get("/connect/{creator}")
async def connect(creator: str, request: Request) -> RedirectResponse:
    """Send a creator to Fanvue; what must come back is kept here, and not in the browser."""
    sign_in = request.state.oauth.sign_in(SCOPES, account=creator)
    session = secrets.token_urlsafe(32)
    value = json.dumps(attrs.asdict(sign_in)).encode()
    await request.state.store.put(f"sign-in:{session}", value, expires_in=SECONDS)
    response = RedirectResponse(sign_in.url, 303)
    is_https = os.environ["FANVUE_REDIRECT_URI"].startswith("https:")
    response.set_cookie("sign_in", session, max_age=SECONDS, httponly=True, secure=is_https)
    return response


@app.get("/callback")
async def callback(
    request: Request, sign_in: Annotated[str | None, Cookie()] = None
) -> dict[str, str]:
    """Finish the sign-in that this browser has begun, in whichever worker."""
    entry = await request.state.store.get(f"sign-in:{sign_in}")
    if entry is None:
        raise HTTPException(400, "Begin again: this browser has no sign-in under way.")
    begun = SignIn(**json.loads(entry.value))
    account = await request.state.oauth.connect(begun, str(request.url))
    return {"connected": account}


@app.post("/creators/{creator}/chats/{user}", status_code=201)
async def create_chat(creator: str, user: UUID, request: Request) -> dict[str, str]:
    """Act for a creator who has connected."""
    fanvue: FanvueClient = request.state.fanvue
    token = request.state.oauth.token(creator)
    created = await fanvue.with_options(access_token=token).chats.create(user)
    return {"detail": created.message}


@app.exception_handler(SignInError)
async def not_signed_in(_: Request, error: SignInError) -> JSONResponse:
    """Answer 400: the creator refused, or the callback is not ours."""
    return JSONResponse({"detail": error.error_description or str(error)}, 400)


@app.exception_handler(SignInRequiredError)
async def sign_in_required(_: Request, error: SignInRequiredError) -> JSONResponse:
    """Answer 403 and say where to connect (again)."""
    return JSONResponse({"detail": f"Connect at /connect/{error.account} first."}, 403)


@app.exception_handler(FanvueError)
async def failed(_: Request, error: FanvueError) -> JSONResponse:
    """Answer 503 for what may pass, else 502; fastapi_app.py tells more apart."""
    return JSONResponse({"detail": "Fanvue is not available."}, 503 if error.transient else 502)
