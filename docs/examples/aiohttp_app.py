"""A web backend (aiohttp.web) that opens chats on Fanvue through the session it already has.

Install and run::

    pip install /path/to/the/clone
    FANVUE_ACCESS_TOKEN=… python aiohttp_app.py

    curl -X POST localhost:8080/chats/3fa85f64-5717-4562-b3fc-2c963f66afa6

To try it without the real API, set FANVUE_BASE_URL to a server on this machine.
"""

import logging
import math
import os
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Handler

from fanvue_async import (
    FanvueClient,
    FanvueError,
    InvalidArgumentError,
    NotContactableError,
    RateLimitError,
)

logger = logging.getLogger(__name__)

SESSION = web.AppKey("SESSION", aiohttp.ClientSession)
FANVUE = web.AppKey("FANVUE", FanvueClient)


async def session_context(app: web.Application) -> AsyncIterator[None]:
    """Own the session that the application makes all its calls with."""
    # Many servers, maybe Fanvue's too, close connections that were idle for 5 seconds.
    connector = aiohttp.TCPConnector(limit=100, keepalive_timeout=4)
    async with aiohttp.ClientSession(connector=connector) as session:
        app[SESSION] = session
        yield


async def fanvue_context(app: web.Application) -> AsyncIterator[None]:
    """Own the client; it borrows the session's connections and leaves the session open."""
    async with FanvueClient(
        session=app[SESSION],
        timeout=10,  # a browser is waiting
    ) as fanvue:
        app[FANVUE] = fanvue
        yield


async def create_chat(request: web.Request) -> web.Response:
    """Open a chat with the user in the path."""
    created = await request.app[FANVUE].chats.create(request.match_info["user"])
    return web.json_response({"detail": created.message}, status=201)


@web.middleware
async def fanvue_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn the errors of all handlers into responses."""
    try:
        return await handler(request)
    except InvalidArgumentError:
        return web.json_response({"detail": "This is not a user UUID."}, status=400)
    except NotContactableError:
        return web.json_response({"detail": "This user can't be messaged."}, status=409)
    except RateLimitError as error:
        seconds = 60 if error.retry_after is None else error.retry_after
        headers = {"Retry-After": f"{math.ceil(seconds)}"}
        document = {"detail": "Too many requests to Fanvue."}
        return web.json_response(document, status=429, headers=headers)
    except FanvueError as error:
        if error.transient:
            detail, maybe = "Fanvue is not available.", error.maybe_processed
            return web.json_response({"detail": detail, "maybe_processed": maybe}, status=503)
        # The token, a scope, the version: somebody should look into it.
        logger.error("%s: %s", type(error).__name__, error)  # noqa: TRY400 - it says enough
        return web.json_response({"detail": "Fanvue refused the request."}, status=502)


def make_app() -> web.Application:
    """Make the application; its contexts close in reverse order."""
    app = web.Application(middlewares=[fanvue_errors])
    app.cleanup_ctx.extend([session_context, fanvue_context])
    app.router.add_post("/chats/{user}", create_chat)
    return app


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    web.run_app(make_app(), host="127.0.0.1", port=int(os.environ.get("PORT", "8080")))
