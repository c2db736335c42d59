"""The events, in one vocabulary for both of Fanvue's families.

``creator.*``, ``checkout_link.*`` and ``app.*`` events come in an envelope with snake_case names;
the older ones are flat, with camelCase names. Here, whoever pays is ``payer``, whoever writes is
``sender``, and amounts are ``int`` minor units beside their ``currency``. How sure each field is,
``docs/webhooks.md`` says. Fanvue may leave any field out: it is None then.

https://api.fanvue.com/docs/webhooks/webhooks-overview
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs


@attrs.frozen(kw_only=True)
class EventUser:
    """A fan or a creator, as far as an event tells."""

    uuid: str
    """The UUID, as the other methods of this package take it."""
    handle: str | None = None
    """The name in the address of the profile."""
    display_name: str | None = None
    """The name that is shown."""
    avatar_url: str | None = None
    """The address of the picture."""
    email: str | None = attrs.field(default=None, repr=False)
    """The e-mail address, which checkout events may carry."""


@attrs.frozen(kw_only=True)
class CheckoutLink:
    """The checkout link that something was bought through."""

    uuid: str | None = None
    """The UUID of the link."""
    name: str | None = None
    """The name that the creator gave it."""
    product_uuid: str | None = None
    """The UUID of the product."""
    product_price_uuid: str | None = None
    """The UUID of the price of the product."""


@attrs.frozen(kw_only=True)
class Tracking:
    """The tracking link that the fan came through."""

    link_url: str | None = None
    """The address of the link."""
    metadata: Mapping[str, Any] = attrs.field(factory=dict[str, Any], hash=False)
    """The parameters of the link, such as ``utm_source``."""


@attrs.frozen(kw_only=True)
class Event:
    """What all events have."""

    type: str
    """Fanvue's name, such as ``"creator.payment.succeeded"``. A legacy event that carries no type
    is known by its shape; ``""`` if that is unknown, too."""
    id: str
    """The same in every delivery of the event. A legacy event has no id, and gets
    ``"sha256:<digest of the body>"``."""
    created_at: datetime | None = None
    """When it happened, in UTC."""
    creator_uuid: str | None = None
    """The creator whose event it is."""
    data: Mapping[str, Any] = attrs.field(repr=False, hash=False)
    """The whole JSON document, as Fanvue sent it."""


@attrs.frozen(kw_only=True)
class UnknownEvent(Event):
    """An event of a type that this version does not know; ``data`` has all of it."""


@attrs.frozen(kw_only=True)
class MessageEvent(Event):
    """A message, sent or received."""

    message_uuid: str | None = None
    """The UUID of the message."""
    recipient: EventUser | None = None
    """Who got it."""
    sender_role: str | None = None
    """``"fan"`` or ``"creator"``. The latter also stands where another creator writes to yours:
    compare ``sender.uuid`` to recognize your own messages."""
    text: str | None = attrs.field(default=None, repr=False)
    """The text. Some deliveries of 2026 had no text: read the chat if it is None."""
    has_media: bool | None = None
    """Whether media are attached."""
    media_uuids: tuple[str, ...] = ()
    """The UUIDs of the media."""
    price: int | None = None
    """What unlocking the message costs, in minor units of ``currency``."""
    currency: str | None = None
    """The currency; None if the event does not tell: legacy prices are US cents."""
    is_automated: bool | None = None
    """Whether a program of Fanvue's wrote it, such as a welcome message."""
    is_muted: bool | None = None
    """Whether the chat is muted."""
    unread_messages_count: int | None = None
    """Unread messages of this chat."""
    sent_at: datetime | None = None
    """When the message was written, in UTC."""


@attrs.frozen(kw_only=True)
class MessageReceived(MessageEvent):
    """Somebody wrote to the creator."""

    sender: EventUser
    """Who wrote: a fan, or another creator."""


@attrs.frozen(kw_only=True)
class MessageSent(MessageEvent):
    """The creator wrote to somebody, here or in Fanvue's own pages."""

    sender: EventUser | None = None
    """The creator."""


@attrs.frozen(kw_only=True)
class MessageDeleted(MessageEvent):
    """A message was deleted."""

    sender: EventUser | None = None
    """Who had written it."""
    deleted_at: datetime | None = None
    """When it was deleted, in UTC."""


@attrs.frozen(kw_only=True)
class MessageRead(Event):
    """Messages of a chat were read; the legacy event fires when the creator reads."""

    fan: EventUser | None = None
    """The other side of the chat."""
    read_messages_count: int | None = None
    """How many messages were read."""
    unread_messages_count: int | None = None
    """How many are left."""


@attrs.frozen(kw_only=True)
class MessageReaction(Event):
    """Somebody reacted to a message with an emoji."""

    message_uuid: str | None = None
    """The UUID of the message."""
    sender: EventUser | None = None
    """Who reacted."""
    emoji: str | None = None
    """The emoji."""


@attrs.frozen(kw_only=True)
class FollowCreated(Event):
    """Somebody follows the creator. There is no event for an unfollow."""

    follower: EventUser | None = None
    """The new follower."""


@attrs.frozen(kw_only=True)
class FanStatusEvent(Event):
    """What a fan's state in the chats is."""

    fan: EventUser | None = None
    """The fan."""
    state: str | None = None
    """``"online"``, ``"offline"``, ``"muted"`` or ``"unmuted"``."""
    change_type: str | None = None
    """``"presence"`` or ``"mute"``."""
    changed_at: datetime | None = None
    """When it changed, in UTC."""


@attrs.frozen(kw_only=True)
class FanPresenceChanged(FanStatusEvent):
    """A fan came or left."""


@attrs.frozen(kw_only=True)
class FanStatusChanged(FanStatusEvent):
    """A fan's chat was muted or unmuted."""


@attrs.frozen(kw_only=True)
class CreatorLoggedOut(Event):
    """The creator took the authorization of the application back."""


@attrs.frozen(kw_only=True)
class MoneyEvent(Event):
    """Money, paid or owed."""

    payer: EventUser | None = None
    """Who pays."""
    amount: int | None = None
    """What the payer pays, before fees, or gets back, in minor units of ``currency``."""
    currency: str | None = None
    """ISO 4217; None if the event does not tell: legacy prices are US cents."""
    status: str | None = None
    """The state, in Fanvue's words."""
    client_reference_id: str | None = None
    """Your own reference, as you gave it to the checkout link; at most 200 characters."""
    checkout_link: CheckoutLink | None = None
    """The checkout link, on ``checkout_link.*`` events."""
    metadata: Mapping[str, Any] = attrs.field(factory=dict[str, Any], hash=False)
    """Your own data, as you gave them to the checkout link."""
    tracking: Tracking | None = None
    """Where the fan came from, on ``creator.*`` events."""
    purchase_reference: str | None = None
    """The reference of a purchase in the app store, ``appotp_…``, on ``app.*`` events."""
    item_uuid: str | None = None
    """What was bought in the app store, on ``app.*`` events."""


@attrs.frozen(kw_only=True)
class PaymentEvent(MoneyEvent):
    """A payment: for a message, a post, a subscription, a tip, a product."""

    payment_id: str | None = None
    """Fanvue's id of the payment, such as ``"FV-…"``; legacy events have none."""
    source: str | None = None
    """What was paid for, in Fanvue's words; of legacy events ``"message"``, ``"post"`` or
    ``"tip"``."""
    net: int | None = None
    """What the creator gets, in minor units of ``currency``."""
    fanvue_fee: int | None = None
    """Fanvue's part, in minor units of ``currency``."""
    transaction_fee: int | None = None
    """The fee of the transaction, in minor units of ``currency``."""
    message_uuid: str | None = None
    """The message that was unlocked or tipped."""
    post_uuid: str | None = None
    """The post that was unlocked or tipped."""
    subscription_id: str | None = None
    """The subscription that was paid for."""
    billing_reason: str | None = None
    """``"one_time"``, ``"subscription_initial"`` or ``"subscription_renewal"``."""
    paid_in_full: bool | None = None
    """Whether no instalment is left."""
    installment_number: int | None = None
    """Which instalment it is, from 1."""
    number_of_installments: int | None = None
    """How many instalments there are."""
    transaction_id: str | None = None
    """The id of the transaction."""
    paid_at: datetime | None = None
    """When it was paid, in UTC."""


@attrs.frozen(kw_only=True)
class PaymentSucceeded(PaymentEvent):
    """Somebody paid; legacy purchases and tips are payments, too."""


@attrs.frozen(kw_only=True)
class PaymentPending(PaymentEvent):
    """A payment began and is not decided."""


@attrs.frozen(kw_only=True)
class PaymentFailed(PaymentEvent):
    """A payment failed."""


@attrs.frozen(kw_only=True)
class RefundCreated(MoneyEvent):
    """Money was given back."""

    refund_id: str | None = None
    """Fanvue's id of the refund."""
    payment_id: str | None = None
    """The payment that was refunded."""
    reason: str | None = None
    """Why."""
    full_amount: bool | None = None
    """Whether all of the payment was refunded."""


@attrs.frozen(kw_only=True)
class DisputeEvent(MoneyEvent):
    """A payment is disputed at the payer's bank."""

    dispute_id: str | None = None
    """Fanvue's id of the dispute."""
    payment_id: str | None = None
    """The payment that is disputed."""
    reason: str | None = None
    """Why."""


@attrs.frozen(kw_only=True)
class DisputeCreated(DisputeEvent):
    """A dispute was opened."""


@attrs.frozen(kw_only=True)
class DisputeFlagged(DisputeEvent):
    """A bank warned of a dispute."""


@attrs.frozen(kw_only=True)
class SubscriptionEvent(MoneyEvent):
    """A subscription."""

    subscription_id: str | None = None
    """Fanvue's id of the subscription."""
    cancel_at_period_end: bool | None = None
    """Whether it ends with the period that is paid."""
    current_period_start: datetime | None = None
    """When the period that is paid began, in UTC."""
    expires_at: datetime | None = None
    """When the period that is paid ends, in UTC."""
    deactivation_reason: str | None = None
    """Why it ended."""
    plan_uuid: str | None = None
    """The plan, on ``app.*`` events."""


@attrs.frozen(kw_only=True)
class SubscriptionActivated(SubscriptionEvent):
    """Somebody subscribed."""


@attrs.frozen(kw_only=True)
class SubscriptionRenewed(SubscriptionEvent):
    """A subscription was paid for another period."""


@attrs.frozen(kw_only=True)
class SubscriptionDeactivated(SubscriptionEvent):
    """A subscription ended."""


@attrs.frozen(kw_only=True)
class SubscriptionCancelChanged(SubscriptionEvent):
    """The fan cancelled, or took that back: see ``cancel_at_period_end``."""


@attrs.frozen(kw_only=True)
class InstallmentEvent(MoneyEvent):
    """One instalment of a plan."""

    installment_id: str | None = None
    """Fanvue's id of the instalment."""
    installment_number: int | None = None
    """Which instalment it is, from 1."""
    number_of_installments: int | None = None
    """How many instalments there are."""
    outstanding_amount: int | None = None
    """What is left to pay, in minor units of ``currency``."""
    reason: str | None = None
    """Why it failed: ``"charge_failed"``, ``"retry_failed"`` or ``"delayed"``."""


@attrs.frozen(kw_only=True)
class InstallmentPaid(InstallmentEvent):
    """An instalment was paid."""


@attrs.frozen(kw_only=True)
class InstallmentFailed(InstallmentEvent):
    """An instalment was not paid."""


@attrs.frozen(kw_only=True)
class PlanCompleted(MoneyEvent):
    """All instalments of a plan were paid."""

    plan_id: str | None = None
    """Fanvue's id of the plan."""


@attrs.frozen(kw_only=True)
class PayoutPaid(MoneyEvent):
    """Money was paid out to the creator."""

    payout_id: str | None = None
    """Fanvue's id of the payout."""
