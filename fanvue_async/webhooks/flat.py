"""The older, flat events: which one it is, and the same facts under the names of the newer ones.

Deprecated by Fanvue at the end of August 2026. Their documented samples carry no type, while the
checkout pages tell receivers to branch on one: both are accepted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fanvue_async.webhooks.fields import mapping, record

if TYPE_CHECKING:
    from fanvue_async.webhooks.fields import Document

_USER = (
    ("uuid", "uuid"),
    ("handle", "handle"),
    ("displayName", "display_name"),
    ("avatarUrl", "avatar_url"),
)
_MESSAGE = (
    ("uuid", "uuid"),
    ("text", "text"),
    ("hasMedia", "has_media"),
    ("mediaUuids", "media_uuids"),
    ("price", "price"),
    ("createdAt", "created_at"),
)

_MARKS = (  # the first one that is there tells
    ("message.read", ("counterpartUuid", "readMessagesCount")),
    ("tip.new", ("context", "senderUuid", "messageUuid")),
    ("purchase.new", ("postUuid", "routeUuid")),
    ("subscription.new", ("price",)),
)


def type_of(document: Document) -> str:
    """Tell a flat event without a type by its shape; ``""`` if it is none of them."""
    keys = document.keys()
    if "message" in keys or ("messageUuid" in keys and "price" not in keys):
        return "message.received"
    for kind, marks in _MARKS:
        if not keys.isdisjoint(marks):
            return kind
    return "follow.new" if "sender" in keys and "recipientUuid" in keys else ""


def data_of(kind: str, document: Document) -> Document:
    """Return the document under the names of the envelope family's ``data``."""
    data = _TRANSLATIONS[kind](document)
    data["creator"] = _by_uuid(document, "recipientUuid")
    return data


def _message(document: Document) -> Document:
    message = mapping(document, "message")
    data = _renamed(message, _MESSAGE)
    data["uuid"] = data.get("uuid") or document.get("messageUuid")
    return data | {"fan": _sender(document), "is_muted": document.get("isMuted")}


def _read(document: Document) -> Document:
    return {
        "fan": _by_uuid(document, "counterpartUuid"),
        "read_messages_count": document.get("readMessagesCount"),
    }


def _follow(document: Document) -> Document:
    return {"follower": _sender(document)}


def _paid(document: Document) -> Document:
    return {"purchaser": _sender(document), "amount": document.get("price")}


def _purchase(document: Document) -> Document:
    post, message = document.get("postUuid"), document.get("routeUuid")
    source = "post" if post else "message" if message else None
    return _paid(document) | {"source": source, "post_uuid": post, "message_uuid": message}


def _tip(document: Document) -> Document:
    return _paid(document) | {
        "source": "tip",
        "post_uuid": document.get("postUuid"),
        "message_uuid": document.get("messageUuid"),
    }


def _nothing(document: Document) -> Document:
    del document  # its fields are not documented
    return {}


_TRANSLATIONS: dict[str, Callable[[Document], Document]] = {
    "message.received": _message,
    "message.read": _read,
    "follow.new": _follow,
    "subscription.new": _paid,
    "purchase.new": _purchase,
    "tip.new": _tip,
    "creator.logout": _nothing,
}
TYPES = frozenset(_TRANSLATIONS)


def _renamed(document: Document, names: tuple[tuple[str, str], ...]) -> Document:
    return {new: document.get(old) for old, new in names}


def _sender(document: Document) -> object:
    """Return the sender with the names of the other family; one of a wrong type as it is."""
    sender = record(document, "sender")
    if sender is not None:
        return _renamed(sender, _USER)
    return document.get("sender") or _by_uuid(document, "senderUuid")


def _by_uuid(document: Document, name: str) -> Document | None:
    uuid = document.get(name)
    return None if uuid is None else {"uuid": uuid}
