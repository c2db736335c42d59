"""Both families of events, read into one vocabulary."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from support.deliveries import CREATOR, FAN, FLAT_SAMPLES, SAMPLES, TIME, Sample, encoded, envelope

from fanvue_async import MalformedEventError, webhooks
from fanvue_async.webhooks import (
    Event,
    EventUser,
    MessageReceived,
    PaymentSucceeded,
    UnknownEvent,
    parse,
)

PAYMENT = {"id": "FV-1", "gross": 1999, "currency": "USD", "purchaser": {"uuid": FAN}}


def plain(value: object) -> object:
    """Return what a sample says of a value: a user's UUID, a time's text."""
    if isinstance(value, EventUser):
        return value.uuid
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value


def payment(**changes: Any) -> bytes:
    """Return a payment event with some of its data changed."""
    return encoded(envelope("creator.payment.succeeded", PAYMENT | changes))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.type)
def test_each_documented_event_is_typed(sample: Sample) -> None:
    """Old or new: its class, its payer or sender, and its amount in minor units."""
    event = parse(encoded(sample.document))

    assert type(event) is getattr(webhooks, sample.class_name)
    assert {name: plain(getattr(event, name)) for name in sample.fields} == sample.fields
    assert (event.type, event.creator_uuid) == (sample.type, CREATOR)
    assert event.created_at == datetime.fromisoformat(TIME)
    assert event.data == sample.document


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.type)
def test_what_fanvue_adds_one_day_passes(sample: Sample) -> None:
    """Unknown fields change nothing, wherever they stand."""
    grown: dict[str, Any] = copy.deepcopy(sample.document)
    for place in (grown, grown.get("data", grown), grown.get("message", grown)):
        place["new_field"] = {"deep": [1, None, "x"]}

    before, after = parse(encoded(sample.document)), parse(encoded(grown))

    # A legacy event's id is a digest of its body.
    assert attrs.evolve(before, id=after.id, data=after.data) == after


@pytest.mark.parametrize("sample", FLAT_SAMPLES, ids=lambda sample: sample.type)
@pytest.mark.parametrize("way", ["type in the body", "type told", "in an envelope"])
def test_legacy_events_are_told_in_each_way(sample: Sample, way: str) -> None:
    """By a type that they carry, by the address that they came to, or by their shape."""
    by_shape = parse(encoded(sample.document))
    match way:
        case "type in the body":
            event = parse(encoded(sample.document | {"type": sample.type}), type="message.read")
        case "type told":
            event = parse(encoded(sample.document), type=sample.type)
        case _:
            event = parse(encoded(envelope(sample.type, sample.document)))

    assert attrs.evolve(event, id="", data={}) == attrs.evolve(by_shape, id="", data={})


def test_a_payer_is_found_wherever_programs_found_one() -> None:
    """``purchaser`` wins over ``fan``, as three programs out of four read it."""
    event = parse(payment(fan={"uuid": CREATOR}))

    assert isinstance(event, PaymentSucceeded)
    assert event.payer == EventUser(uuid=FAN)


def test_a_sender_that_is_an_object_is_read() -> None:
    """One program saw the fan in ``sender``, where others see a role."""
    event = parse(encoded(envelope("creator.message.received", {"sender": {"uuid": FAN}})))

    assert isinstance(event, MessageReceived)
    assert (event.sender.uuid, event.sender_role) == (FAN, None)


@pytest.mark.parametrize(
    "document",
    [
        {"id": "e-1", "type": "creator.mass_message.sent", "timestamp": TIME, "data": {"x": 1}},
        {"id": 7, "type": "x", "timestamp": ["no time"], "data": [1]},
        {"type": "app.subscription.paused", "data": {"plan": "p-1"}},
        {"recipientUuid": CREATOR, "timestamp": TIME},
        {"message": {"uuid": "m"}, "type": "message.archived"},
        {},
    ],
    ids=["new", "odd", "app", "flat", "mixed", "empty"],
)
def test_an_unknown_event_is_no_error(document: dict[str, Any]) -> None:
    """Whatever Fanvue adds arrives with its type and its whole document."""
    event = parse(encoded(document))

    assert isinstance(event, UnknownEvent)
    assert (event.type, event.data) == (document.get("type", ""), document)
    assert event.id


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("2025-11-26T19:03:07.000Z", datetime(2025, 11, 26, 19, 3, 7, tzinfo=UTC)),
        ("2025-11-26T21:03:07+02:00", datetime(2025, 11, 26, 19, 3, 7, tzinfo=UTC)),
        ("2025-11-26T19:03:07", datetime(2025, 11, 26, 19, 3, 7, tzinfo=UTC)),
        ("2025-11-26", datetime(2025, 11, 26, tzinfo=UTC)),
        (1764183787, datetime(2025, 11, 26, 19, 3, 7, tzinfo=UTC)),
        (1764183787000, datetime(2025, 11, 26, 19, 3, 7, tzinfo=UTC)),
        (None, None),
    ],
)
def test_times_are_aware_and_in_utc(value: object, read: datetime | None) -> None:
    """ISO 8601 with or without an offset, a date, unix seconds and milliseconds."""
    event = parse(encoded(envelope("creator.payment.succeeded", PAYMENT) | {"timestamp": value}))

    assert event.created_at == read
    assert read is None or event.created_at.tzinfo is UTC  # type: ignore[union-attr] # not None


def test_a_time_that_cannot_be_read_is_an_error() -> None:
    """As long as the event is one of the known ones."""
    with pytest.raises(MalformedEventError, match="timestamp: expected a time, got text"):
        parse(encoded(envelope("creator.payment.succeeded", PAYMENT) | {"timestamp": "soon"}))


@pytest.mark.parametrize("value", [0, 2**53 + 1, 1999.0, None])
def test_an_amount_is_a_plain_int(value: float | None) -> None:
    """Minor units, exact, of any size; never a float."""
    event = parse(payment(gross=value))

    assert isinstance(event, PaymentSucceeded)
    assert event.amount == value
    assert value is None or type(event.amount) is int


def test_events_are_plain_values() -> None:
    """They compare, hash, copy and pickle, and their repr holds no message and no address."""
    for sample in SAMPLES:
        event = parse(encoded(sample.document))

        assert pickle.loads(pickle.dumps(event)) == copy.copy(event) == event
        assert hash(event) == hash(parse(encoded(sample.document)))
        assert "fan@x.test" not in repr(event)
        assert "'hi'" not in repr(event)


def test_every_class_has_a_sample() -> None:
    """No class of an event is without one."""
    known = {getattr(webhooks, name) for name in webhooks.__all__}
    events = {cls for cls in known if isinstance(cls, type) and issubclass(cls, Event)}
    leaves = {cls.__name__ for cls in events if not events & set(cls.__subclasses__())}

    assert leaves - {"UnknownEvent"} == {sample.class_name for sample in SAMPLES}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"gross": "1999"}, "gross: expected a whole number, got text"),
        ({"gross": 19.99}, "gross: expected a whole number, got a number"),
        ({"gross": 1e300}, "gross: expected a whole number, got a number"),
        ({"gross": True}, "gross: expected a whole number, got a boolean"),
        ({"gross": {"cents": 1}}, "gross: expected a whole number, got an object"),
        ({"currency": 840}, "currency: expected text, got a number"),
        ({"paid_in_full": "yes"}, "paid_in_full: expected a boolean, got text"),
        ({"paid_at": "yesterday"}, "paid_at: expected a time, got text"),
        ({"paid_at": 1e300}, "paid_at: expected a time, got a number"),
        ({"paid_at": "0001-01-01T00:00:00+10:00"}, "paid_at: expected a time, got text"),
        ({"purchaser": "a name"}, "purchaser: expected an object, got text"),
        ({"purchaser": {"handle": "fan"}}, "purchaser.uuid: expected text, got nothing"),
    ],
)
def test_a_field_of_a_wrong_type_is_named(changes: dict[str, Any], sentence: str) -> None:
    """The error names the field and the types; the value is in nothing that is raised."""
    with pytest.raises(MalformedEventError) as caught:
        parse(payment(**changes))

    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("kind", "data", "sentence"),
    [
        ("creator.message.received", {"text": "hi"}, "sender: expected an object, got nothing"),
        ("creator.message.received", None, "data: expected an object, got nothing"),
        ("creator.follow.created", [1], "data: expected an object, got a list"),
        (
            "creator.message.received",
            {"fan": {"uuid": FAN}, "media_uuids": "x"},
            "media_uuids: expected a list, got text",
        ),
        (
            "creator.message.received",
            {"fan": {"uuid": FAN}, "media_uuids": ["x", 1]},
            "media_uuids: expected a list of texts, got a number",
        ),
        (7, {}, "type: expected text, got a number"),
    ],
)
def test_an_event_without_its_essence_is_malformed(kind: Any, data: Any, sentence: str) -> None:
    """A message has a sender, and an envelope has data."""
    with pytest.raises(MalformedEventError) as caught:
        parse(encoded(envelope(kind, data)))

    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("kind", "data", "read"),
    [
        (
            "checkout_link.dispute.flagged",
            {"id": "d-1", "amount": {"cents": 1}, "currency": "USD", "purchaser": {"uuid": FAN}},
            {"dispute_id": "d-1", "amount": None, "currency": "USD", "payer": FAN},
        ),
        ("payout.paid", {"id": "p-1", "amount": 12.5}, {"payout_id": "p-1", "amount": None}),
        ("checkout_link.plan.completed", [1], {"plan_id": None}),
        (
            "app.payment.succeeded",
            {"purchase_reference": "appotp_1", "purchaser": {"email": "a@x.test"}, "gross": 999},
            {"purchase_reference": "appotp_1", "payer": None, "amount": 999},
        ),
        (
            "follow.new",
            {"recipientUuid": 5, "sender": {"uuid": FAN}},
            {"creator_uuid": None, "follower": FAN},
        ),
        ("creator.new", {"creator": {"uuid": 5}}, {"creator_uuid": None}),
        ("creator.message.deleted", {"uuid": "m", "sender": "fan"}, {"sender": None}),
    ],
)
def test_what_is_documented_nowhere_makes_no_event_malformed(
    kind: str, data: Any, read: dict[str, Any]
) -> None:
    """A field that is only guessed is None if it is of another type; the others are read."""
    event = parse(encoded(envelope(kind, data)))

    assert {name: plain(getattr(event, name)) for name in read} == read
    assert event.data["data"] == data


def test_half_an_emoji_is_replaced() -> None:
    """Any text can be printed and stored, as what the API returns can be."""
    data = {"fan": {"uuid": FAN}, "text": "Hi \ud83d", "media_uuids": ["\ud83d", "a"]}
    event = parse(encoded(envelope("creator.message.received", data)))

    assert isinstance(event, MessageReceived)
    assert (event.text, event.media_uuids) == ("Hi \ufffd", ("\ufffd", "a"))


def test_a_body_over_the_limit_is_not_read() -> None:
    """`parse` alone refuses it, too."""
    with pytest.raises(MalformedEventError, match="longer than 1 MiB"):
        parse(b" " * (1024 * 1024 + 1))
