"""OpenTelemetry's instrumentation of aiohttp sees the requests of a client, each once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

pytest.importorskip("opentelemetry", reason="what requirements-docs.txt lists is not installed")

import tracing
from opentelemetry.instrumentation.aiohttp_client import (
    AioHttpClientInstrumentor,
    create_trace_config,
)
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from support.programs import assert_clean, started
from support.users import USER

from fanvue_async import FanvueClient, NoAnswerError, RetryPolicy, ServerError, Timeout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import TracerProvider

    from fanvue_async.testing import FakeFanvue


class Traces:
    """What the example's set-up records."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider: TracerProvider = tracing.set_up_tracing(self._exporter)

    def spans(self) -> list[dict[str, Any]]:
        """Return the spans as they are exported, in the order of their start."""
        self.provider.force_flush()
        spans = [json.loads(span.to_json()) for span in self._exporter.get_finished_spans()]
        return sorted(spans, key=lambda span: span["start_time"])


@pytest.fixture
def traces() -> Iterator[Traces]:
    """Set tracing up as the example does."""
    made = Traces()
    yield made
    AioHttpClientInstrumentor().uninstrument()
    made.provider.shutdown()


async def call_in_trouble(client: FanvueClient, fake: FakeFanvue) -> None:
    """Call with every kind of end: repeated and done, refused, lost, cut, timed out, expected."""
    fake.reply(503)
    fake.drop("request")
    await client.chats.create(USER)
    fake.reply(501, body=f"what is {fake.token}?")
    with pytest.raises(ServerError):
        await client.chats.create(USER)
    once = client.with_options(retry=RetryPolicy.never(), timeout=Timeout(attempt=0.1))
    fake.drop("headers")
    with pytest.raises(NoAnswerError):
        await once.chats.create(USER)
    fake.delay(5)
    with pytest.raises(NoAnswerError):
        await once.chats.create(USER)
    fake.reply(200, json={})
    await client.request("DELETE", "/chats")


def assert_one_span_for_each_request(traces: Traces, fake: FakeFanvue) -> None:
    """Compare the spans with what the server read, by the ids of the header ``traceparent``."""
    spans = traces.spans()
    exported = [
        f"00-{span['context']['trace_id'][2:]}-{span['context']['span_id'][2:]}" for span in spans
    ]
    assert exported == [request.headers["traceparent"][:-3] for request in fake.requests]
    assert len(set(exported)) == 7
    assert [span["name"] for span in spans] == ["POST"] * 6 + ["DELETE"]
    assert fake.token not in json.dumps(spans)


async def test_a_client_of_its_own_session(traces: Traces, fake: FakeFanvue) -> None:
    """The instrumentation needs no help of ours: one span a request, repetitions included."""
    async with fake.client() as client:
        await call_in_trouble(client, fake)

    assert_one_span_for_each_request(traces, fake)


async def test_a_client_of_an_instrumented_session(traces: Traces, fake: FakeFanvue) -> None:
    """A borrowed session that the instrumentation knows already counts no request twice."""
    async with aiohttp.ClientSession() as session, fake.client(session=session) as client:
        await call_in_trouble(client, fake)

    assert_one_span_for_each_request(traces, fake)


async def test_a_client_of_a_session_with_its_own_tracing(traces: Traces, fake: FakeFanvue) -> None:
    """Without the instrumentation, a borrowed session's own trace_configs trace our calls."""
    AioHttpClientInstrumentor().uninstrument()
    config = create_trace_config(tracer_provider=traces.provider)
    async with (
        aiohttp.ClientSession(trace_configs=[config]) as session,
        fake.client(session=session) as client,
    ):
        await call_in_trouble(client, fake)

    assert_one_span_for_each_request(traces, fake)


async def test_requests_are_children_of_the_span_around_the_call(
    traces: Traces, fake: FakeFanvue
) -> None:
    """A call and all its attempts stand in the trace of whoever made it."""
    fake.reply(503)
    tracer = traces.provider.get_tracer("test")
    async with fake.client() as client:
        with tracer.start_as_current_span("around"):
            await client.chats.create(USER)

    around, *attempts = traces.spans()
    assert [attempt["parent_id"] for attempt in attempts] == [around["context"]["span_id"]] * 2


async def test_captured_headers_can_be_redacted(
    monkeypatch: pytest.MonkeyPatch, fake: FakeFanvue, request: pytest.FixtureRequest
) -> None:
    """Whoever has all headers recorded can keep the token out of them."""
    prefix = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS"
    monkeypatch.setenv(f"{prefix}_CLIENT_REQUEST", ".*")
    monkeypatch.setenv(f"{prefix}_SANITIZE_FIELDS", "authorization")
    traces: Traces = request.getfixturevalue("traces")  # reads the variables
    async with fake.client() as client:
        await client.chats.create(USER)

    (span,) = traces.spans()
    assert span["attributes"]["http.request.header.authorization"] == ["[REDACTED]"]
    assert fake.token not in json.dumps(span)


async def test_the_program_prints_its_spans_and_stops_cleanly(fake: FakeFanvue) -> None:
    """The command of the docstring works; it prints no token and leaves nothing open."""
    async with started(
        "tracing.py", USER, FANVUE_BASE_URL=fake.url, FANVUE_ACCESS_TOKEN=fake.token
    ) as program:
        output = await program.finish()

    assert program.process.returncode == 0
    assert '"name": "open chat"' in output
    assert '"http.status_code": 201' in output
    assert fake.token not in output
    assert_clean(output)
