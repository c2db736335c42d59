"""What happens in the fake, as the events that Fanvue makes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from fanvue_async.testing.users import Row

KINDS = {
    "follow.created": "creator.follow.created",
    "message.received": "creator.message.received",
    "message.sent": "creator.message.sent",
    "message.deleted": "creator.message.deleted",
    "message.read": "creator.message.read",
    "payment.succeeded": "creator.payment.succeeded",
    "subscription.activated": "creator.subscription.activated",
    "subscription.deactivated": "creator.subscription.deactivated",
}
"""The types of the events, by what happens; for other things no type is documented."""


def envelope(moment: str, happened: str, creator: str, about: Row) -> Row | None:
    """Make the event of what happened to a creator; None if Fanvue makes none that is known."""
    if happened not in KINDS:
        return None
    data = _DATA[happened](moment, about)
    return {
        "id": f"evt_{uuid4().hex}",
        "type": KINDS[happened],
        "timestamp": moment,
        "data": {**data, "creator": {"uuid": creator}},
    }


def _user(row: Row) -> Row:
    return {
        "uuid": row["uuid"],
        "handle": row["handle"],
        "display_name": row["displayName"],
        "avatar_url": row["avatarUrl"],
    }


def _follow(_: str, about: Row) -> Row:
    return {"follower": _user(about["user"])}


def _message(_: str, about: Row) -> Row:
    message, fan = about["message"], about["user"]
    return {
        "uuid": message["uuid"],
        "sender": "fan" if message["sender"]["uuid"] == fan["uuid"] else "creator",
        "text": message["text"],
        "created_at": message["sentAt"],
        "is_automated": False,
        "fan": _user(fan),
    }


def _deleted(moment: str, about: Row) -> Row:
    return {**_message(moment, about), "deleted_at": moment}


def _read(_: str, about: Row) -> Row:
    return {"unread_messages_count": 0, "fan": _user(about["user"])}


def _payment(moment: str, about: Row) -> Row:
    payment = about["payment"]
    return {
        "id": f"FV-{payment['transactionOrderId']}",
        "source": payment["source"],
        "gross": payment["gross"],
        "net": payment["net"],
        "currency": payment["currency"],
        "created_at": moment,
        "paid_at": moment,
        "message_uuid": payment.get("messageUuid"),
        "post_uuid": payment.get("postUuid"),
        "purchaser": _user(about["user"]),
    }


def _subscription(moment: str, about: Row) -> Row:
    return {
        "status": "active",
        "cancel_at_period_end": False,
        "created_at": moment,
        "purchaser": _user(about["user"]),
    }


def _ended(moment: str, about: Row) -> Row:
    return {**_subscription(moment, about), "status": "expired"}


_DATA: dict[str, Callable[[str, Row], Row]] = {
    "follow.created": _follow,
    "message.received": _message,
    "message.sent": _message,
    "message.deleted": _deleted,
    "message.read": _read,
    "payment.succeeded": _payment,
    "subscription.activated": _subscription,
    "subscription.deactivated": _ended,
}
