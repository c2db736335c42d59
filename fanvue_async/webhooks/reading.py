"""From the bytes of a delivery to its event: pure functions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from fanvue_async.errors import InvalidArgumentError, MalformedEventError
from fanvue_async.webhooks import events, flat
from fanvue_async.webhooks.fields import (
    checkout_link,
    document,
    flag,
    identity,
    mapping,
    record,
    refuse,
    text,
    texts,
    time,
    tracking,
    user,
    whole,
)
from fanvue_async.webhooks.signature import MAX_BODY, check_body

if TYPE_CHECKING:
    from fanvue_async.webhooks.events import EventUser
    from fanvue_async.webhooks.fields import Document

Arguments: TypeAlias = dict[str, Any]
Reader: TypeAlias = Callable[["Document"], Arguments]


def parse(body: bytes, *, type: str | None = None) -> events.Event:  # noqa: A002 - Fanvue's word
    """Read an event. It does not verify anything: call `verify` first.

    Args:
        body: the raw bytes of the request body, at most 1 MiB.
        type: what the event is, such as ``"message.received"``, if the body does not say so: for
            legacy events that come to an address of their own. A type in the body wins.

    Returns:
        One of the classes of this package; `UnknownEvent` for a type that it does not know.

    Raises:
        MalformedEventError: the body is no JSON object, or a field is not of the type that Fanvue
            documents. Nothing of the body is in the error. Where Fanvue documents no fields, one
            of an unexpected type is None.
        InvalidArgumentError: ``body`` is not bytes, or ``type`` is not text.

    """
    check_body(body)
    check_type(type)
    try:
        return _event(body, type)
    except MalformedEventError as error:
        sentence = error.message
    del body  # no frame and no context of what is raised shall hold it
    raise MalformedEventError(sentence)


def check_type(told: str | None) -> None:
    """Refuse what is no event's type."""
    if told is not None and not isinstance(told, str):
        raise InvalidArgumentError("type must be an event's type, such as 'message.received'")


def _event(body: bytes, told: str | None) -> events.Event:
    received = _document(body)
    kind = text(received, "type") or told or flat.type_of(received)
    facts = received
    if kind in flat.TYPES:
        facts = record(received, "data") or received  # should one come in an envelope
        data = flat.data_of(kind, facts)
    else:
        data = mapping(received, "data")
    strict = kind in _DOCUMENTED
    cls, read = _DOCUMENTED.get(kind) or _GUESSED.get(kind, (events.UnknownEvent, _nothing))
    if strict and not data:
        refuse("data", "an object", received.get("data"))
    if not strict:
        data = _readable(data, read)
    return cls(
        type=kind,
        id=_id(received, body),
        created_at=_created_at((received, facts, data), strict=strict),
        creator_uuid=identity(data, "creator"),
        data=received,
        **read(data),
    )


def _readable(data: Document, read: Reader) -> Document:
    """Leave out the fields that cannot be read, of an event whose fields nobody has documented."""
    readable: Document = {}
    for name, value in data.items():
        with suppress(MalformedEventError):
            alone = {name: value}
            identity(alone, "creator")
            read(alone)
            readable[name] = value
    return readable


def _document(body: bytes) -> Document:
    if len(body) > MAX_BODY:
        raise MalformedEventError("the body is longer than 1 MiB")
    found: object = None
    with suppress(ValueError, RecursionError):  # not chained: these errors hold the body
        found = _decode(bytes(body).decode())
    decoded = document(found)
    if decoded is None:
        raise MalformedEventError("the body is not a JSON object")
    return decoded


def _constant(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and Infinity are no JSON


_decode = json.JSONDecoder(parse_constant=_constant).decode


def _id(received: Document, body: bytes) -> str:
    """Return the event's own id, else one that is the same for the same body."""
    found = received.get("id")
    if found and isinstance(found, str | int):
        return str(found)
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def _created_at(places: tuple[Document, Document, Document], *, strict: bool) -> datetime | None:
    received, facts, data = places
    try:
        return time(received, "timestamp") or time(facts, "timestamp") or time(data, "created_at")
    except MalformedEventError:
        if strict:
            raise
        return None


def _nothing(data: Document) -> Arguments:
    del data
    return {}


def _creator(data: Document) -> EventUser | None:
    return user(data, "creator") if identity(data, "creator") else None


def _message(data: Document) -> Arguments:
    return {
        "message_uuid": text(data, "uuid"),
        "sender_role": _role(data),
        "text": text(data, "text"),
        "has_media": flag(data, "has_media"),
        "media_uuids": texts(data, "media_uuids"),
        "price": whole(data, "price"),
        "currency": text(data, "currency"),
        "is_automated": flag(data, "is_automated"),
        "is_muted": flag(data, "is_muted"),
        "unread_messages_count": whole(data, "unread_messages_count"),
        "sent_at": time(data, "created_at"),
    }


def _role(data: Document) -> str | None:
    return text(data, "sender") if record(data, "sender") is None else None


def _fan(data: Document) -> EventUser | None:
    """Return the other side of a chat; one program saw it as an object in ``sender``."""
    fan = user(data, "fan")
    return user(data, "sender") if fan is None and _role(data) is None else fan


def _by_fan(data: Document) -> Arguments:
    return _message(data) | {"sender": _fan(data), "recipient": _creator(data)}


def _received(data: Document) -> Arguments:
    arguments = _by_fan(data)
    if arguments["sender"] is None:
        refuse("sender", "an object", None)
    return arguments


def _sent(data: Document) -> Arguments:
    return _message(data) | {"sender": _creator(data), "recipient": _fan(data)}


def _deleted(data: Document) -> Arguments:
    arguments = _by_fan(data) if _role(data) == "fan" else _sent(data)
    return arguments | {"deleted_at": time(data, "deleted_at")}


def _read(data: Document) -> Arguments:
    return {
        "fan": user(data, "fan"),
        "read_messages_count": whole(data, "read_messages_count"),
        "unread_messages_count": whole(data, "unread_messages_count"),
    }


def _reaction(data: Document) -> Arguments:
    return {
        "message_uuid": text(data, "message_uuid"),
        "sender": user(data, "actor"),
        "emoji": text(data, "emoji"),
    }


def _follow(data: Document) -> Arguments:
    return {"follower": user(data, "follower")}


def _fan_status(data: Document) -> Arguments:
    return {
        "fan": user(data, "fan"),
        "state": text(data, "state"),
        "change_type": text(data, "change_type"),
        "changed_at": time(data, "changed_at"),
    }


def _payer(data: Document) -> EventUser | None:
    """Return who pays: three programs read ``purchaser``, one reads ``fan``."""
    return (
        user(data, "purchaser") or user(data, "fan") or user(mapping(data, "payment"), "purchaser")
    )


def _money(data: Document) -> Arguments:
    return {
        "payer": _payer(data),
        "amount": whole(data, "amount" if data.get("gross") is None else "gross"),
        "currency": text(data, "currency"),
        "status": text(data, "status"),
        "client_reference_id": text(data, "client_reference_id"),
        "checkout_link": checkout_link(data, "checkout_link"),
        "metadata": mapping(data, "metadata"),
        "tracking": tracking(data, "tracking"),
        "purchase_reference": text(data, "purchase_reference"),
        "item_uuid": identity(data, "item"),
    }


def _payment(data: Document) -> Arguments:
    fees, installment = mapping(data, "fees"), mapping(data, "installment")
    return _money(data) | {
        "payment_id": text(data, "id"),
        "source": text(data, "source"),
        "net": whole(data, "net"),
        "fanvue_fee": whole(fees, "fanvue_fee"),
        "transaction_fee": whole(fees, "transaction_fee"),
        "message_uuid": text(data, "message_uuid"),
        "post_uuid": text(data, "post_uuid"),
        "subscription_id": identity(data, "subscription"),
        "billing_reason": text(data, "billing_reason"),
        "paid_in_full": flag(data, "paid_in_full"),
        "installment_number": whole(installment, "number"),
        "number_of_installments": whole(installment, "of"),
        "transaction_id": text(data, "transaction_id"),
        "paid_at": time(data, "paid_at"),
    }


def _subscription(data: Document) -> Arguments:
    return _money(data) | {
        "subscription_id": text(data, "id"),
        "cancel_at_period_end": flag(data, "cancel_at_period_end"),
        "current_period_start": time(data, "current_period_start"),
        "expires_at": time(data, "expires_at"),
        "deactivation_reason": text(data, "deactivation_reason"),
        "plan_uuid": identity(data, "plan"),
    }


def _payment_id(data: Document) -> str | None:
    return text(data, "payment_id") or identity(data, "payment")


def _refund(data: Document) -> Arguments:
    return _money(data) | {
        "refund_id": text(data, "id"),
        "payment_id": _payment_id(data),
        "reason": text(data, "reason"),
        "full_amount": flag(data, "full_amount"),
    }


def _dispute(data: Document) -> Arguments:
    return _money(data) | {
        "dispute_id": text(data, "id"),
        "payment_id": _payment_id(data),
        "reason": text(data, "reason"),
    }


def _installment(data: Document) -> Arguments:
    return _money(data) | {
        "installment_id": text(data, "id"),
        "installment_number": whole(data, "installment_number"),
        "number_of_installments": whole(data, "number_of_installments"),
        "outstanding_amount": whole(data, "outstanding_amount"),
        "reason": text(data, "reason"),
    }


def _plan(data: Document) -> Arguments:
    return _money(data) | {"plan_id": text(data, "id")}


def _payout(data: Document) -> Arguments:
    return _money(data) | {"payout_id": text(data, "id")}


_DOCUMENTED: dict[str, tuple[type[events.Event], Reader]] = {
    "message.received": (events.MessageReceived, _received),
    "message.read": (events.MessageRead, _read),
    "subscription.new": (events.SubscriptionActivated, _subscription),
    "purchase.new": (events.PaymentSucceeded, _payment),
    "tip.new": (events.PaymentSucceeded, _payment),
    "creator.follow.created": (events.FollowCreated, _follow),
    "creator.message.received": (events.MessageReceived, _received),
    "creator.message.sent": (events.MessageSent, _sent),
    "creator.message.deleted": (events.MessageDeleted, _deleted),
    "creator.message.read": (events.MessageRead, _read),
    "creator.message.reaction": (events.MessageReaction, _reaction),
    "creator.fan.presence_changed": (events.FanPresenceChanged, _fan_status),
    "creator.fan.status_changed": (events.FanStatusChanged, _fan_status),
    "creator.payment.succeeded": (events.PaymentSucceeded, _payment),
    "creator.refund.created": (events.RefundCreated, _refund),
    "creator.dispute.created": (events.DisputeCreated, _dispute),
    "creator.subscription.activated": (events.SubscriptionActivated, _subscription),
    "creator.subscription.renewed": (events.SubscriptionRenewed, _subscription),
    "creator.subscription.deactivated": (events.SubscriptionDeactivated, _subscription),
    "creator.subscription.cancel_at_period_end_changed": (
        events.SubscriptionCancelChanged,
        _subscription,
    ),
    "checkout_link.payment.pending": (events.PaymentPending, _payment),
    "checkout_link.payment.succeeded": (events.PaymentSucceeded, _payment),
    "checkout_link.payment.failed": (events.PaymentFailed, _payment),
    "checkout_link.subscription.activated": (events.SubscriptionActivated, _subscription),
    "checkout_link.subscription.deactivated": (events.SubscriptionDeactivated, _subscription),
    "checkout_link.subscription.cancel_at_period_end_changed": (
        events.SubscriptionCancelChanged,
        _subscription,
    ),
    "checkout_link.refund.created": (events.RefundCreated, _refund),
    "checkout_link.installment.paid": (events.InstallmentPaid, _installment),
    "checkout_link.installment.failed": (events.InstallmentFailed, _installment),
}
_GUESSED: dict[str, tuple[type[events.Event], Reader]] = {
    "follow.new": (events.FollowCreated, _follow),
    "creator.logout": (events.CreatorLoggedOut, _nothing),
    "checkout_link.dispute.flagged": (events.DisputeFlagged, _dispute),
    "checkout_link.dispute.created": (events.DisputeCreated, _dispute),
    "checkout_link.plan.completed": (events.PlanCompleted, _plan),
    "payout.paid": (events.PayoutPaid, _payout),
    "app.payment.succeeded": (events.PaymentSucceeded, _payment),
    "app.payment.refunded": (events.RefundCreated, _refund),
    "app.subscription.activated": (events.SubscriptionActivated, _subscription),
    "app.subscription.renewed": (events.SubscriptionRenewed, _subscription),
    "app.subscription.deactivated": (events.SubscriptionDeactivated, _subscription),
}
"""Types that are documented and whose fields are not: they are read by analogy."""
