"""Trace the requests to Fanvue with OpenTelemetry: one span for each request that is sent.

Install and run::

    pip install /path/to/the/clone opentelemetry-sdk opentelemetry-instrumentation-aiohttp-client
    FANVUE_ACCESS_TOKEN=… python tracing.py 3fa85f64-5717-4562-b3fc-2c963f66afa6

It prints the spans; replace ConsoleSpanExporter by your own exporter. To try it without the real
API, set FANVUE_BASE_URL to a server on this machine.
"""

import asyncio
import sys

from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter

from fanvue_async import FanvueClient


def set_up_tracing(exporter: SpanExporter) -> TracerProvider:
    """Trace every aiohttp session made from now on, including that of a FanvueClient."""
    provider = TracerProvider(resource=Resource.create({"service.name": "chat-bot"}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    AioHttpClientInstrumentor().instrument(tracer_provider=provider)
    return provider


async def main(user: str) -> None:
    """Open a chat; its requests are children of a span of our own."""
    provider = set_up_tracing(ConsoleSpanExporter())
    try:
        async with FanvueClient() as fanvue:
            with provider.get_tracer("chat-bot").start_as_current_span("open chat"):
                await fanvue.chats.create(user)
    finally:
        provider.shutdown()  # sends what has not been sent yet


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
