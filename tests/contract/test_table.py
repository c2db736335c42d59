"""The table of operations, held against the contract: each row, in both forms, with all it takes.

A noun that is added is checked without a further line here.
"""

from __future__ import annotations

import json
import logging
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import attrs
import pytest
from support.calling import arguments, call, method_of
from support.judge import Declared, the_judge
from support.samples import Samples, choices, is_nullable, not_null
from yarl import URL

from fanvue_async import FanvueClient
from fanvue_async.engine.models import ABSENT, name_of
from fanvue_async.money import Cents
from fanvue_async.operations import Row, operations
from fanvue_async.testing import FakeFanvue

if TYPE_CHECKING:
    from collections.abc import Iterator

JUDGE = the_judge()
ROWS = operations()
BY_ROW = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)

# Documented for every response, but missing from the API's own examples, or new.
LENIENT = {"Message.isRead", "Message.mediaUuids", "Message.sentByUserId"}


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
    if isinstance(first, dict) and "pagination" in first:
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


@pytest.mark.xfail(strict=True, reason="nouns are being added")
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

    query: dict[str, list[str]] = {}
    for received in fake.requests:
        JUDGE.check_request(received)
        assert (found := JUDGE.find(received.method, URL(received.path, encoded=True).raw_path))
        assert found.id == row.id
        for name, value in URL(received.path, encoded=True).query.items():
            query.setdefault(name, []).append(value)
    names = {one.name for one in of.parameters if one.place == "query"}
    assert set(query) == names
    body = json.loads(fake.requests[0].body or "{}")
    assert set(body) == set((of.body or {}).get("properties", {}))
    paging = {"page", "size", "cursor", "limit"}
    assert sent >= (names - paging) | set(body)
    for name, sample in given.items():
        assert_sent(name, sample.wire, query, body, fake.requests[0].path)


def assert_sent(
    name: str, value: Any, query: dict[str, list[str]], body: dict[str, Any], path: str
) -> None:
    """Fail unless a value was sent under its name."""
    head, *tail = name.split("_")
    api_name = head + "".join(map(str.title, tail))
    if api_name in body:
        assert body[api_name] == value
    elif api_name in query:
        values = value if isinstance(value, list) else [value]
        assert query[api_name][: len(values)] in (
            [str(item) for item in values],
            [",".join(map(str, values))],
        )
    else:
        assert str(value).replace(" ", "%20") in path


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

    differences = list(compared(of, documents, result, choice))
    assert not differences, "\n".join(differences)


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

    differences = list(compared(of, documents, result, 0))
    assert not differences, "\n".join(differences)
    assert not caplog.messages


def compared(of: Declared, documents: list[Any], result: Any, choice: int) -> Iterator[str]:
    """Tell where a result is not what the documents say."""
    _, _, schema = of.success
    if schema is None:
        if result is not None:
            yield f"{result!r} for no body"
        return
    if isinstance(result, list) and "data" in schema.get("properties", {}):
        schema = schema["properties"]["data"]
        yield from differences(
            schema, [row for document in documents for row in document["data"]], result, "", choice
        )
        return
    (document,) = documents
    yield from differences(schema, document, result, "", choice)


def differences(schema: Any, document: Any, value: Any, place: str, choice: int) -> Iterator[str]:
    """Tell where a value is not what a part of a document says, or not of its type."""
    alternatives = choices(schema)
    schema = not_null(schema, choice)
    if document is None:
        if value is not None:
            yield f"{place}: {value!r} for null"
    elif schema["type"] == "array":
        items = list(value) if isinstance(value, tuple | list) else []
        if len(items) != len(document):
            yield f"{place}: {value!r} for {len(document)} items"
            return
        for number, item in enumerate(items):
            yield from differences(
                schema["items"], document[number], item, f"{place}[{number}]", choice
            )
    elif "additionalProperties" in schema:
        for key, item in document.items():
            yield from differences(
                schema["additionalProperties"], item, value[key], f"{place}[{key}]", choice
            )
    elif "properties" in schema:
        yield from of_object(schema, document, value, place, choice, alternatives)
    elif schema["type"] == "object":
        if value != document:
            yield f"{place}: {value!r} for an object"
    elif (expected := expected_of(schema, document)) != value or type(expected) is not type(value):
        yield f"{place}: {value!r} for {expected!r}"


def of_object(  # noqa: PLR0913 - a helper of the above
    schema: Any, document: Any, value: Any, place: str, choice: int, alternatives: list[Any]
) -> Iterator[str]:
    """Compare a model with an object, field by field; what it may be is documented too."""
    if not attrs.has(type(value)):
        yield f"{place}: {value!r} is no model"
        return
    fields = {name_of(field): field for field in attrs.fields(type(value))}
    known = {name for one in [schema, *alternatives] for name in one.get("properties", {})}
    model = type(value).__name__
    for name in fields.keys() - known:
        yield f"{model}.{name} is not documented"
    for name, part in schema["properties"].items():
        if name not in fields:
            yield f"{model} lacks {name}"
            continue
        field = fields[name]
        if not alternatives or len(alternatives) == 1:
            yield from of_default(model, name, field, part, required=name in schema.get("required", []))
        read = getattr(value, field.name)
        if name in document:
            yield from differences(part, document[name], read, f"{place}.{name}", choice)
        elif read not in (None, ()):
            yield f"{place}.{name}: {read!r} although missing"


def of_default(
    model: str, name: str, field: attrs.Attribute[Any], part: Any, *, required: bool
) -> Iterator[str]:
    """Hold the default of a field against the contract: it says what may be missing."""
    place = f"{model}.{name}"
    may_be_missing = not required or is_nullable(part)
    if place in LENIENT or field.default == ():
        return
    if field.default is attrs.NOTHING and may_be_missing:
        yield f"{place} is required, but may be missing"
    elif field.default is ABSENT and may_be_missing:
        yield f"{place} warns, but may be missing"
    elif field.default is None and not may_be_missing:
        yield f"{place} is silently None, but documented"


def expected_of(schema: Any, document: Any) -> Any:
    """Make of a scalar in JSON what a model holds."""
    form = schema.get("format")
    if form == "date-time":
        return datetime.fromisoformat(document)
    if form == "date":
        return date.fromisoformat(document)
    return Cents(document) if schema.get("x-unit") == "USD cents" else document
