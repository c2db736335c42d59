"""Deliveries of webhooks: a sample of each documented event, and how it must be read."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import attrs

SECRET = "whsec_made_up"
NOW = 1_764_183_787
FAN = "f1b0c8de-0000-4000-8000-000000000001"
CREATOR = "c0ffee00-0000-4000-8000-000000000002"
TIME = "2025-11-26T19:03:07.000Z"

_FLAT_FAN = {"uuid": FAN, "handle": "fan", "displayName": "A Fan", "avatarUrl": "https://x.test/a"}
_FLAT = {"recipientUuid": CREATOR, "sender": _FLAT_FAN, "timestamp": TIME}
_USER = {"uuid": FAN, "handle": "fan", "display_name": "A Fan", "avatar_url": "https://x.test/a"}
_CHECKOUT = {
    "client_reference_id": "order-7",
    "checkout_link": {
        "uuid": "l-1",
        "name": "Course",
        "product_uuid": "p-1",
        "product_price_uuid": "pp-1",
    },
    "purchaser": {"uuid": FAN, "email": "fan@x.test"},
    "creator": {"uuid": CREATOR},
    "metadata": {"campaign": "may"},
}
_MESSAGE = {
    "uuid": "m-1",
    "sender": "fan",
    "created_at": TIME,
    "unread_messages_count": 2,
    "is_muted": False,
    "is_automated": False,
    "fan": _USER,
    "creator": {"uuid": CREATOR},
    "text": "hi",
}
_SUBSCRIPTION = {
    "id": "s-1",
    "status": "active",
    "cancel_at_period_end": False,
    "current_period_start": TIME,
    "created_at": TIME,
    "expires_at": "2025-12-26T19:03:07.000Z",
    "deactivation_reason": None,
    "purchaser": {"uuid": FAN},
    "creator": {"uuid": CREATOR},
    "tracking": {"link_url": "https://x.test/l", "metadata": {"utm_source": "x"}},
}
_CHECKOUT_PAYMENT = {
    "object": "payment",
    "id": "FVC-1",
    "billing_reason": "one_time",
    "gross": 1999,
    "net": 1500,
    "fees": {"fanvue_fee": 400, "transaction_fee": 99},
    "currency": "USD",
    "paid_in_full": False,
    "installment": {"number": 1, "of": 3},
    "subscription": {"uuid": "s-1"},
    "transaction_id": "t-1",
    "paid_at": TIME,
    **_CHECKOUT,
}


def signature(body: bytes, *, secret: str = SECRET, at: float = NOW) -> str:
    """Sign by the words of Fanvue's page, apart from the package's own code."""
    signed = str(int(at)).encode() + b"." + body
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def headers(body: bytes, *, secret: str = SECRET, at: float = NOW) -> dict[str, str]:
    """Return the headers of a good delivery."""
    value = f"t={int(at)},v0={signature(body, secret=secret, at=at)}"
    return {"Content-Type": "application/json", "X-Fanvue-Signature": value}


def envelope(kind: str, data: dict[str, Any], *, event_id: str = "evt_1") -> dict[str, Any]:
    """Wrap the data of a new-style event."""
    return {"id": event_id, "type": kind, "timestamp": TIME, "data": data}


def encoded(document: object) -> bytes:
    """Return the bytes of a document."""
    return json.dumps(document).encode()


@attrs.frozen
class Sample:
    """A documented event, and some of what must be read from it."""

    type: str
    document: dict[str, Any]
    class_name: str
    fields: dict[str, Any]


def _new(kind: str, class_name: str, data: dict[str, Any], **fields: Any) -> Sample:
    return Sample(kind, envelope(kind, data), class_name, fields)


_PAID: dict[str, Any] = {"payer": FAN, "amount": 1999, "currency": "USD"}
_BOUGHT: dict[str, Any] = {
    "client_reference_id": "order-7",
    "metadata": {"campaign": "may"},
}

FLAT_SAMPLES = [
    Sample(
        "message.received",
        _FLAT
        | {
            "message": {
                "uuid": "m-1",
                "text": "hi",
                "hasMedia": True,
                "mediaUuids": ["x-1"],
                "price": 500,
                "createdAt": TIME,
            },
            "messageUuid": "m-1",
            "isMuted": True,
        },
        "MessageReceived",
        {
            "sender": FAN,
            "message_uuid": "m-1",
            "text": "hi",
            "has_media": True,
            "media_uuids": ("x-1",),
            "price": 500,
            "currency": None,
            "is_muted": True,
        },
    ),
    Sample(
        "message.received",
        _FLAT | {"message": {"uuid": "m-1", "text": "hi", "hasMedia": False, "createdAt": TIME}},
        "MessageReceived",
        {"sender": FAN, "message_uuid": "m-1", "has_media": False, "media_uuids": ()},
    ),
    Sample(
        "message.read",
        {
            "counterpartUuid": FAN,
            "readMessagesCount": 3,
            "recipientUuid": CREATOR,
            "timestamp": TIME,
        },
        "MessageRead",
        {"fan": FAN, "read_messages_count": 3},
    ),
    Sample("follow.new", _FLAT, "FollowCreated", {"follower": FAN}),
    Sample(
        "subscription.new",
        _FLAT | {"price": 999},
        "SubscriptionActivated",
        {"payer": FAN, "amount": 999},
    ),
    Sample(
        "purchase.new",
        _FLAT | {"postUuid": "p-1", "price": 500},
        "PaymentSucceeded",
        {"payer": FAN, "amount": 500, "post_uuid": "p-1", "source": "post", "message_uuid": None},
    ),
    Sample(
        "purchase.new",
        _FLAT | {"routeUuid": "m-1", "price": 500},
        "PaymentSucceeded",
        {"payer": FAN, "amount": 500, "message_uuid": "m-1", "source": "message"},
    ),
    Sample(
        "tip.new",
        _FLAT | {"context": "post", "postUuid": "p-1", "senderUuid": FAN, "price": 0},
        "PaymentSucceeded",
        {"payer": FAN, "amount": 0, "post_uuid": "p-1", "source": "tip"},
    ),
    Sample(
        "tip.new",
        {
            "context": "message",
            "messageUuid": "m-1",
            "recipientUuid": CREATOR,
            "senderUuid": FAN,
            "price": 700,
            "timestamp": TIME,
        },
        "PaymentSucceeded",
        {"payer": FAN, "amount": 700, "message_uuid": "m-1", "source": "tip"},
    ),
]

SAMPLES = [
    *FLAT_SAMPLES,
    Sample("creator.logout", {"type": "creator.logout", **_FLAT}, "CreatorLoggedOut", {}),
    _new(
        "creator.follow.created",
        "FollowCreated",
        {"follower": _USER, "creator": {"uuid": CREATOR}},
        follower=FAN,
    ),
    _new(
        "creator.message.received",
        "MessageReceived",
        _MESSAGE,
        sender=FAN,
        recipient=CREATOR,
        sender_role="fan",
        text="hi",
        is_automated=False,
        unread_messages_count=2,
    ),
    _new(
        "creator.message.received",
        "MessageReceived",
        {name: value for name, value in _MESSAGE.items() if name != "text"} | {"sender": "creator"},
        sender=FAN,
        sender_role="creator",
        text=None,
    ),
    _new(
        "creator.message.sent",
        "MessageSent",
        _MESSAGE | {"sender": "creator"},
        sender=CREATOR,
        recipient=FAN,
    ),
    _new(
        "creator.message.deleted",
        "MessageDeleted",
        _MESSAGE | {"deleted_at": TIME},
        sender=FAN,
        recipient=CREATOR,
        deleted_at=TIME,
    ),
    _new(
        "creator.message.deleted",
        "MessageDeleted",
        _MESSAGE | {"sender": "creator"},
        sender=CREATOR,
        recipient=FAN,
    ),
    _new(
        "creator.message.read",
        "MessageRead",
        {"unread_messages_count": 0, "fan": _USER, "creator": {"uuid": CREATOR}},
        fan=FAN,
        unread_messages_count=0,
    ),
    _new(
        "creator.message.reaction",
        "MessageReaction",
        {
            "emoji": "\N{HEAVY BLACK HEART}",
            "message_uuid": "m-1",
            "actor": {"uuid": FAN},
            "creator": {"uuid": CREATOR},
        },
        sender=FAN,
        message_uuid="m-1",
        emoji="\N{HEAVY BLACK HEART}",
    ),
    *(
        _new(
            f"creator.fan.{name}_changed",
            class_name,
            {
                "object": "fan_status",
                "change_type": change,
                "state": state,
                "changed_at": TIME,
                "fan": _USER,
                "creator": {"uuid": CREATOR},
            },
            fan=FAN,
            state=state,
            change_type=change,
            changed_at=TIME,
        )
        for name, class_name, change, state in [
            ("presence", "FanPresenceChanged", "presence", "online"),
            ("status", "FanStatusChanged", "mute", "muted"),
        ]
    ),
    *(
        _new(
            "creator.payment.succeeded",
            "PaymentSucceeded",
            {
                "id": "FV-1",
                "source": "message",
                "gross": 1999,
                "net": 1599,
                "currency": "USD",
                "created_at": TIME,
                "paid_at": TIME,
                "post_uuid": None,
                "message_uuid": "m-1",
                "subscription": {"id": "s-1"},
                payer: {"uuid": FAN},
                "creator": {"uuid": CREATOR},
                "tracking": {"link_url": "https://x.test/l", "metadata": {"utm_source": "x"}},
            },
            **_PAID,
            payment_id="FV-1",
            net=1599,
            message_uuid="m-1",
            subscription_id="s-1",
            paid_at=TIME,
        )
        for payer in ("purchaser", "fan")
    ),
    *(
        _new(
            f"creator.{what}.created",
            class_name,
            {
                "id": "r-1",
                "amount": 1999,
                "currency": "USD",
                "created_at": TIME,
                "creator": {"uuid": CREATOR},
                **payment,
            },
            **_PAID,
            payment_id="FV-1",
        )
        for what, class_name in [("refund", "RefundCreated"), ("dispute", "DisputeCreated")]
        for payment in (
            {"payment_id": "FV-1", "purchaser": {"uuid": FAN}},
            {"payment": {"id": "FV-1", "purchaser": {"uuid": FAN}}},
        )
    ),
    *(
        _new(
            f"creator.subscription.{what}",
            class_name,
            _SUBSCRIPTION,
            payer=FAN,
            subscription_id="s-1",
            status="active",
            cancel_at_period_end=False,
            current_period_start=TIME,
            expires_at="2025-12-26T19:03:07.000Z",
        )
        for what, class_name in [
            ("activated", "SubscriptionActivated"),
            ("renewed", "SubscriptionRenewed"),
            ("deactivated", "SubscriptionDeactivated"),
            ("cancel_at_period_end_changed", "SubscriptionCancelChanged"),
        ]
    ),
    *(
        _new(
            f"checkout_link.payment.{what}",
            class_name,
            _CHECKOUT_PAYMENT | {"status": what},
            **_PAID,
            **_BOUGHT,
            status=what,
            payment_id="FVC-1",
            net=1500,
            fanvue_fee=400,
            transaction_fee=99,
            billing_reason="one_time",
            installment_number=1,
            number_of_installments=3,
            paid_in_full=False,
            subscription_id="s-1",
            transaction_id="t-1",
        )
        for what, class_name in [
            ("pending", "PaymentPending"),
            ("succeeded", "PaymentSucceeded"),
            ("failed", "PaymentFailed"),
        ]
    ),
    *(
        _new(
            f"checkout_link.subscription.{what}",
            class_name,
            {
                "object": "subscription",
                "id": "s-1",
                "status": "cancelled",
                "cancel_at_period_end": True,
                "deactivation_reason": "failed_payment",
                **_CHECKOUT,
            },
            **_BOUGHT,
            payer=FAN,
            subscription_id="s-1",
            cancel_at_period_end=True,
            deactivation_reason="failed_payment",
        )
        for what, class_name in [
            ("activated", "SubscriptionActivated"),
            ("deactivated", "SubscriptionDeactivated"),
            ("cancel_at_period_end_changed", "SubscriptionCancelChanged"),
        ]
    ),
    _new(
        "checkout_link.refund.created",
        "RefundCreated",
        {
            "object": "refund",
            "id": "FVC-2",
            "payment_id": "FVC-1",
            "amount": 1999,
            "currency": "USD",
            "reason": "asked",
            "full_amount": True,
            **_CHECKOUT,
        },
        **_PAID,
        **_BOUGHT,
        refund_id="FVC-2",
        payment_id="FVC-1",
        reason="asked",
        full_amount=True,
    ),
    *(
        _new(
            f"checkout_link.dispute.{what}",
            class_name,
            {"id": "d-1", "payment_id": "FVC-1", "amount": 1999, "currency": "USD", **_CHECKOUT},
            **_PAID,
            dispute_id="d-1",
            payment_id="FVC-1",
        )
        for what, class_name in [("flagged", "DisputeFlagged"), ("created", "DisputeCreated")]
    ),
    *(
        _new(
            f"checkout_link.installment.{what}",
            class_name,
            {
                "object": "installment",
                "id": "i-1",
                "status": what,
                "reason": "delayed",
                "installment_number": 2,
                "number_of_installments": 3,
                "amount": 1999,
                "currency": "USD",
                "outstanding_amount": 1999,
                **_CHECKOUT,
            },
            **_PAID,
            installment_id="i-1",
            installment_number=2,
            number_of_installments=3,
            outstanding_amount=1999,
            reason="delayed",
        )
        for what, class_name in [("paid", "InstallmentPaid"), ("failed", "InstallmentFailed")]
    ),
    _new("checkout_link.plan.completed", "PlanCompleted", {"id": "pl-1", **_CHECKOUT}, payer=FAN),
    _new(
        "payout.paid",
        "PayoutPaid",
        {"id": "po-1", "amount": 1999, "currency": "USD", "creator": {"uuid": CREATOR}},
        payout_id="po-1",
        amount=1999,
        currency="USD",
    ),
    *(
        _new(
            f"app.payment.{what}",
            class_name,
            {
                "object": what,
                "purchase_reference": "appotp_1",
                "item": {"uuid": "item-1"},
                "purchaser": {"uuid": FAN},
                "gross": 1999,
                "currency": "USD",
                "creator": {"uuid": CREATOR},
            },
            **_PAID,
            purchase_reference="appotp_1",
            item_uuid="item-1",
        )
        for what, class_name in [("succeeded", "PaymentSucceeded"), ("refunded", "RefundCreated")]
    ),
    *(
        _new(
            f"app.subscription.{what}",
            class_name,
            {"plan": {"uuid": "plan-1"}, "creator": {"uuid": CREATOR}},
            plan_uuid="plan-1",
        )
        for what, class_name in [
            ("activated", "SubscriptionActivated"),
            ("renewed", "SubscriptionRenewed"),
            ("deactivated", "SubscriptionDeactivated"),
        ]
    ),
]
