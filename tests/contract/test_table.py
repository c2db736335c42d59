"""The table of operations, held against the contract: each row, in both forms, with all it takes.

A noun that is added is checked without a further line here.
"""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import pytest
from support.calling import arguments, call, method_of
from support.comparing import Comparison
from support.judge import Declared, the_judge
from support.samples import Samples
from yarl import URL

from fanvue_async.engine.answers import Answer
from fanvue_async.engine.operation import Operation
from fanvue_async.engine.wire import MalformedBodyError
from fanvue_async.operations import Row, _nouns, operations

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from fanvue_async import FanvueClient
    from fanvue_async.testing import FakeFanvue

JUDGE = the_judge()
ROWS = operations()
BY_ROW = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)


def declared(row: Row) -> Declared:
    """Find what the contract says of a row."""
    return JUDGE.operations[row.id]


def script(fake: FakeFanvue, of: Declared, samples: Samples) -> list[Any]:
    """Let the fake answer as the contract says: a list in two pages, all else at once."""
    status, media_type, schema = of.success
    if schema is None:
        fake.reply(status)
        return []
    if media_type == "text/plain":
        fake.reply(status, body="https://storage.example/part?signature=1")
        return ["https://storage.example/part?signature=1"]
    documents = [samples.document(schema)]
    first = documents[0]
    if isinstance(first, dict) and "pagination" in cast("dict[str, Any]", first):
        documents.append(samples.document(schema))
        for number, document in enumerate(documents, 1):
            document["pagination"] = {"page": number, "size": 1, "hasMore": number == 1}
    elif "nextCursor" in schema.get("properties", {}):
        documents.append(samples.document(schema))
        documents[0]["nextCursor"], documents[1]["nextCursor"] = "next", None
    for document in documents:
        fake.reply(status, json=document)
    return documents


def test_the_table_is_that_of_the_contract() -> None:
    """Every row is declared with this method, path and these scopes, and nothing is twice."""
    rows = {row.id: (row.method, row.path, set(row.scopes), row.assumed) for row in ROWS}
    contract = {
        one.id: (one.method, one.path, set(one.scopes), one.assumed)
        for one in JUDGE.operations.values()
    }

    assert len(rows) == len(ROWS)
    assert rows == {id_: contract.get(id_) for id_ in rows}


def test_the_table_is_complete() -> None:
    """Every documented operation has a coroutine."""
    assert {row.id for row in ROWS} == set(JUDGE.operations)


@BY_ROW
async def test_a_method_sends_what_the_operation_takes(
    fake: FakeFanvue, client: FanvueClient, row: Row
) -> None:
    """Every field of query and body is sent under the API's name, with the value of its own."""
    of = declared(row)
    script(fake, of, Samples())
    method = method_of(client, row)
    given, sent = arguments(method, row, of)

    await call(method, given)

    queries: set[str] = set()
    for received in fake.requests:
        JUDGE.check_request(received)
        url = URL(received.path, encoded=True)
        assert JUDGE.find(received.method, url.raw_path) == of
        queries |= set(url.query)
    names = {one.name for one in of.parameters if one.place == "query"}
    assert queries == names
    body = json.loads(fake.requests[0].body or "{}")
    assert set(body) == set(of.fields)
    paging = {"page", "size", "cursor", "limit"}
    assert sent >= (names - paging) | set(body)
    url = URL(fake.requests[0].path, encoded=True)
    for name, sample in given.items():
        assert_sent(name, sample.wire, url, body)


def assert_sent(name: str, value: Any, url: URL, body: dict[str, Any]) -> None:
    """Fail unless a value was sent under its name, or in the path."""
    head, *tail = name.split("_")
    api_name = head + "".join(map(str.title, tail))
    if api_name in body:
        assert body[api_name] == value
    elif api_name in url.query:
        items = cast("list[Any]", value) if isinstance(value, list) else [value]
        texts = [str(item) for item in items]
        assert url.query.getall(api_name) in (texts, [",".join(texts)])
    else:
        assert str(value) in url.path.split("/")


@BY_ROW
@pytest.mark.parametrize("choice", [0, 1])
async def test_a_model_holds_what_the_operation_returns(
    fake: FakeFanvue, client: FanvueClient, row: Row, choice: int
) -> None:
    """Every field of the response is read into its own, with its type."""
    of = declared(row)
    documents = script(fake, of, Samples(choice=choice))
    method = method_of(client, row)
    given, _ = arguments(method, row, of)

    result = await call(method, given)

    assert differences(of, documents, result, choice) == []


@BY_ROW
async def test_a_model_can_do_without_what_may_be_missing(
    fake: FakeFanvue, client: FanvueClient, row: Row, caplog: pytest.LogCaptureFixture
) -> None:
    """What may be null is null, what may be missing is missing, and nobody is warned."""
    of = declared(row)
    documents = script(fake, of, Samples(sparse=True))
    method = method_of(client, row)
    given, _ = arguments(method, row, of)

    with caplog.at_level(logging.WARNING, logger="fanvue_async"):
        result = await call(method, given)

    assert differences(of, documents, result) == []
    assert not caplog.messages


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    """Give each object or list within a document, with each of its keys."""
    keys = cast("Any", document) if isinstance(document, dict) else range(len(document))
    for key in keys:
        yield document, key
        if isinstance(document[key], dict | list):
            yield from _places(document[key])


# Half an emoji, numbers that fit nothing, times beyond all times, and shapes that are not due.
_ODD: list[Any] = [None, True, "half \ud83d", "", 2**80, 1e308, "0001-01-01T00:00:00+23:59", [], {}]


@pytest.mark.parametrize("noun", list(_nouns()), ids=lambda noun: noun.__name__.rpartition(".")[2])
def test_whatever_stands_in_a_response_is_read_or_refused(noun: ModuleType) -> None:
    """An odd value instead of any part of any response raises nothing else."""
    for operation in vars(noun).values():
        if not isinstance(operation, Operation):
            continue
        _, media_type, schema = JUDGE.operations[operation.id].success
        if schema is None or media_type == "text/plain":
            continue
        whole = [Samples().document(schema)]
        for around, key in _places(whole):
            usual = around[key]
            for value in _ODD:
                around[key] = value
                answer = Answer(200, {}, json.dumps(whole[0]).encode())
                with suppress(MalformedBodyError):
                    operation.read(answer)
            around[key] = usual


def differences(of: Declared, documents: list[Any], result: Any, choice: int = 0) -> list[str]:
    """Tell where a result is not what the documents say."""
    _, _, schema = of.success
    if schema is None:
        return [] if result is None else [f"{result!r} for no body"]
    comparison = Comparison(choice)
    if isinstance(result, list) and "data" in schema.get("properties", {}):
        rows = [row for document in documents for row in document["data"]]
        comparison.compare(schema["properties"]["data"], rows, result)
    else:
        comparison.compare(schema, documents[0], result)
    return comparison.differences
