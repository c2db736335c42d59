"""The auto-responder in FastAPI, with several processes on one store.

Install and run, beside ``auto_responder.py``::

    pip install /path/to/the/clone fastapi uvicorn
    export FANVUE_ACCESS_TOKEN=… FANVUE_WEBHOOK_SECRET=…
    uvicorn auto_responder_fastapi:app --workers 4
"""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from auto_responder import Responder
from fastapi import FastAPI
from starlette.routing import Route

from fanvue_async import FanvueClient
from fanvue_async.stores import SQLiteStore
from fanvue_async.webhooks import Webhooks

# Nothing here opens a file or a connection: each process does that in its lifespan.
store = SQLiteStore(os.environ.get("STORE", "responder.db"))
fanvue = FanvueClient(timeout=30)
webhooks = Webhooks(secrets=os.environ["FANVUE_WEBHOOK_SECRET"].split(), store=store)
responder = Responder(fanvue, store)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
    """Own everything that is open; what is entered last ends first, and lets answers finish."""
    stopping = asyncio.Event()
    async with store, fanvue, webhooks, asyncio.TaskGroup() as group:
        group.create_task(responder.catch_up(stopping))
        yield
        stopping.set()


app = FastAPI(lifespan=lifespan)
# A route, no mount: a mount redirects the address without a slash, and Fanvue does not follow.
app.router.routes.append(Route("/webhooks/fanvue", webhooks.asgi_app(responder.on_event)))


@app.get("/health")
async def health() -> dict[str, str]:
    """Say that the process lives; the rest of your API goes here."""
    return {"status": "ok"}
