"""From a response body to models: what is read, what is mended, and what is refused how."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from datetime import UTC, date, datetime, timedelta, timezone
from importlib import import_module
from operator import attrgetter
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, cast

import attrs
import pytest
from support.users import USER

from fanvue_async import Cents, DecodeError, FanUser, Message, MessageMedia, MessageType, resources
from fanvue_async.engine import wire
from fanvue_async.engine.models import ABSENT, reader
from fanvue_async.paging import Cursored, Numbered

if TYPE_CHECKING:
    from fanvue_async import FanvueClient
    from fanvue_async.testing import FakeFanvue

# Complete, so that no model warns of what is missing.
_MESSAGE: dict[str, Any] = {
    "uuid": "m-1",
    "text": "Hi",
    "sentAt": "2026-05-15T12:30:00.000Z",
    "sender": {"uuid": "u-1", "handle": "anna"},
    "recipient": {"uuid": "u-2", "handle": "ben"},
    "hasMedia": False,
    "mediaType": None,
    "mediaUuids": [],
    "type": "SINGLE_RECIPIENT",
    "pricing": None,
    "purchasedAt": None,
    "sentByUserId": None,
    "isRead": True,
}
_PAGINATION = {"page": 1, "size": 1, "hasMore": False}
_NOON = datetime(2024, 1, 15, 12, tzinfo=UTC)


@attrs.frozen(kw_only=True)
class Part:
    """A model in a model."""

    uuid: str
    amount: Cents = ABSENT


@attrs.frozen(kw_only=True)
class Sample:
    """Every kind of field, for what the API's own models do not have."""

    uuid: str
    amount: Cents = ABSENT
    count: int = 7
    share: float | None = None
    day: date | None = None
    at: datetime | None = None
    tags: tuple[str, ...] = ()
    prices: dict[str, Cents] | None = None
    data: dict[str, Any] | None = None
    parts: tuple[Part, ...] | None = None


def _sample(**fields: object) -> Sample:
    body = json.dumps({"uuid": "s", "amount": 1, **fields}).encode()
    return cast("Sample", reader(Sample)(body))


def _page(**fields: object) -> bytes:
    return json.dumps({"data": [{**_MESSAGE, **fields}], "pagination": _PAGINATION}).encode()


def _message(**fields: object) -> Message:
    (message,) = reader(Numbered[Message])(_page(**fields)).data
    assert isinstance(message, Message)
    return message


def test_a_page_is_read_into_frozen_models() -> None:
    """Names are Python's, lists are tuples, money is Cents, times are aware."""
    message = _message(pricing={"USD": {"price": 999}}, mediaUuids=["a", "b"])

    assert message.uuid == "m-1"
    assert message.sender.handle == "anna"
    assert message.sent_at == datetime(2026, 5, 15, 12, 30, tzinfo=UTC)
    assert message.media_uuids == ("a", "b")
    assert message.pricing is not None
    assert message.pricing.usd.price.dollars == Cents(999).dollars
    assert message.type == MessageType.SINGLE_RECIPIENT
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        message.text = "no"  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue] - what is refused


_TOLERATED: list[tuple[str, object, str, object]] = [
    ("extra", {"deep": [[[0]]]}, "uuid", "m-1"),
    ("type", "SOMETHING_NEW", "type", "SOMETHING_NEW"),
    ("text", "👍 مرحبا שלום", "text", "👍 مرحبا שלום"),
    ("text", "half \ud83d emoji", "text", "half \N{REPLACEMENT CHARACTER} emoji"),
    ("text", None, "text", None),
    ("mediaUuids", None, "media_uuids", ()),
    ("sentAt", "2024-01-15", "sent_at", datetime(2024, 1, 15, tzinfo=UTC)),
    ("sentAt", "2024-01-15T12:00:00", "sent_at", _NOON),
    ("sentAt", "2024-01-15T12:00:00Z", "sent_at", _NOON),
    ("sentAt", "2024-01-15T14:00:00+02:00", "sent_at", _NOON),
    ("sentAt", "0001-01-01T00:00:00.000Z", "sent_at", datetime.min.replace(tzinfo=UTC)),
    ("sentAt", "9999-12-31T23:59:59.999999Z", "sent_at", datetime.max.replace(tzinfo=UTC)),
    ("pricing", {"USD": {"price": 999.0}}, "pricing.usd.price", Cents(999)),
    ("pricing", {"USD": {"price": 2**63 + 1}}, "pricing.usd.price", Cents(2**63 + 1)),
]


@pytest.mark.parametrize(("field", "sent", "name", "value"), _TOLERATED)
def test_reading_is_tolerant(field: str, sent: object, name: str, value: object) -> None:
    """What real services send in spite of their documentation fails no page."""
    assert attrgetter(name)(_message(**{field: sent})) == value


@pytest.mark.parametrize(
    ("fields", "name", "value"),
    [
        ({"count": 3.0}, "count", 3),
        ({"count": None}, "count", 7),
        ({"share": 3}, "share", 3.0),
        ({"day": "2024-01-15"}, "day", date(2024, 1, 15)),
        ({"day": "2024-01-15T12:00:00.000Z"}, "day", date(2024, 1, 15)),
        ({"at": "2024-01-15T12:00:00-01:30", "count": 1.0}, "at", _NOON + timedelta(hours=1.5)),
        ({"at": "2024-01-15", "prices": {"a": 2.0}}, "prices", {"a": Cents(2)}),
        ({"data": {"a": [1.0, None, "x"]}, "count": 3.0}, "data", {"a": [1.0, None, "x"]}),
        ({"data": {"a": [1]}}, "data", {"a": [1]}),
        ({"data": {"a": "\ud83d"}}, "data", {"a": "\N{REPLACEMENT CHARACTER}"}),
        ({"prices": {"\ud83d": 2}}, "prices", {"\N{REPLACEMENT CHARACTER}": Cents(2)}),
        ({"tags": ["a\ud83d"]}, "tags", ("a\N{REPLACEMENT CHARACTER}",)),
        ({"parts": [{"uuid": "p", "amount": 2.0}]}, "parts", (Part(uuid="p", amount=Cents(2)),)),
        ({"parts": None}, "parts", None),
    ],
)
def test_every_kind_of_field_is_read(fields: dict[str, object], name: str, value: object) -> None:
    """Numbers, days, maps and nested models are read on the fast and on the tolerant way."""
    assert getattr(_sample(**fields), name) == value


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (_page(uuid=3), "data[0].uuid: expected str, got int"),
        (_page(sender={"uuid": True}), "data[0].sender.uuid: expected str, got bool"),
        (_page(sender={}), "data[0].sender.uuid: missing"),
        (_page(sender=[]), "data[0].sender: expected object, got array"),
        (_page(hasMedia=1), "data[0].hasMedia: expected bool | null, got int"),
        (_page(mediaUuids="m"), "data[0].mediaUuids: expected array | null, got str"),
        (_page(mediaUuids={}), "data[0].mediaUuids: expected array | null, got object"),
        (_page(pricing={"USD": {"price": 9.99}}), "expected int | null, got float"),
        (_page(pricing={"USD": {"price": True}}), "expected int | null, got bool"),
        (_page(hasMedia="half \ud83d"), "data[0].hasMedia: expected bool | null, got str"),
        (b'"\\ud83d"', "not as documented (expected object, got str)"),
        (_page(sentAt="yesterday"), "data[0].sentAt: invalid RFC3339 encoded datetime"),
        (_page(sentAt=1_700_000_000), "data[0].sentAt: expected datetime | null, got int"),
        (b'{"data": []}', "not as documented (pagination: missing)"),
        (b"[]", "not as documented (expected object, got array)"),
        (b'"secret"', "not as documented (expected object, got str)"),
        (b"null", "not as documented (expected object, got null)"),
        (b"", "not JSON"),
        (b'{"data": NaN}', "not JSON"),
        (b"\xff", "not JSON"),
        (b"{} {}", "more than one document"),
        (b'{"x": ' + b"[" * 100_000, "nested too deep"),
    ],
)
def test_what_is_refused_names_place_and_type(body: bytes, reason: str) -> None:
    """An error says where and which type, in the API's names, and quotes no value."""
    with pytest.raises(wire.MalformedBodyError) as caught:
        reader(Numbered[Message])(body)

    assert reason in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("gone", [{}, {"handle": None}])
def test_a_promised_field_that_is_missing_warns_once(
    gone: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    """It reads as None; one WARNING names model and field, however often it happens."""

    @attrs.frozen(kw_only=True)
    class Promising:
        uuid: str
        handle: str = ABSENT

    body = json.dumps({"uuid": "x", **gone}).encode()
    with caplog.at_level(logging.WARNING, "fanvue_async"):
        models = [reader(Promising)(body) for _ in range(3)]

    assert all(model == Promising(uuid="x") for model in models)
    assert [record.getMessage() for record in caplog.records] == [
        "Promising.handle is documented, but missing from a response: it reads as None"
    ]


def test_every_shape_of_a_response_is_read() -> None:
    """Lists, maps with nulls, cursors and plain text are read as well as objects."""
    media = {
        "uuid": "a",
        "messageUuid": "m",
        "mediaType": "image",
        "created_at": "2024-01-15",
        "sentAt": None,
        "ownerUuid": "u",
        "name": None,
    }
    body = json.dumps({"results": {"a": media, "b": None}, "errors": []}).encode()

    read = reader(MessageMedia)(body)
    assert read.results["a"].created_at == datetime(2024, 1, 15, tzinfo=UTC)
    assert read.results["b"] is None
    assert reader(list[Sample])(b'[{"uuid": "a", "amount": 3}]') == (
        Sample(uuid="a", amount=Cents(3)),
    )
    assert reader(dict[str, int])(b'{"a": 1}') == {"a": 1}
    cursored = reader(Cursored[Sample])(b'{"data": [], "nextCursor": "c"}')
    assert (cursored.data, cursored.next_cursor) == ((), "c")
    assert reader(str)(b"https://a.example/part\n") == "https://a.example/part"
    with pytest.raises(wire.MalformedBodyError, match="not UTF-8"):
        reader(str)(b"\xff")


def test_models_are_values() -> None:
    """They pickle, copy, compare, hash and evolve; a repr shows no address that is signed."""
    message = _message(sentAt="2024-01-15T12:00:00.000Z")
    user = FanUser(uuid="u", avatar_url="https://media.example/a.jpg?signature=secret")

    assert pickle.loads(pickle.dumps(message)) == message
    assert copy.deepcopy(message) == message
    assert hash(message) == hash(_message(sentAt="2024-01-15T12:00:00.000Z"))
    assert attrs.evolve(message, text="x").text == "x"
    assert message != _message(sentAt="2024-01-15T12:00:00.001Z")
    assert "secret" not in repr(user)
    assert message.sent_at == datetime(2024, 1, 15, 13, tzinfo=timezone(timedelta(hours=1)))


_PUBLIC_URLS = {"TrackingLink.link_url"}  # made to be shown


def test_no_repr_shows_an_address() -> None:
    """No model's repr, in a log say, has an e-mail address or an address that may be signed."""
    nouns = [
        import_module(found.name)
        for found in iter_modules(resources.__path__, "fanvue_async.resources.")
    ]
    models = {model for noun in nouns for model in vars(noun).values() if attrs.has(model)}

    shown = {
        f"{model.__name__}.{field.name}"
        for model in models
        for field in attrs.fields(model)
        if field.repr and ("email" in field.name or field.name.split("_")[-1] in {"url", "urls"})
    }
    assert len(models) > 80
    assert shown <= _PUBLIC_URLS


async def test_a_client_says_where_a_response_broke_the_contract(
    client: FanvueClient, fake: FakeFanvue
) -> None:
    """The reader's words reach the caller in a DecodeError, which chains nothing."""
    fake.reply(200, body=_page(sender={"uuid": 3}))
    with pytest.raises(DecodeError) as caught:
        await client.messages.list(USER).collect()

    assert str(caught.value) == (
        "GET /chats/{userUuid}/messages: the response body is not as documented"
        " (data[0].sender.uuid: expected str, got int)"
    )
    assert caught.value.__context__ is None
