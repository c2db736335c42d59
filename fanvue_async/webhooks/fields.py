"""The fields of an event: each reader takes a JSON object and the name of a field.

A field that is missing or null is None. A text, number, boolean, time or user of another type than
documented is an error that names the field and both types, never the value. What is beside the
point, such as a tracking link, is left out then.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NoReturn, TypeAlias, cast

from fanvue_async.engine.wire import whole_text
from fanvue_async.errors import MalformedEventError
from fanvue_async.webhooks.events import CheckoutLink, EventUser, Tracking

Document: TypeAlias = dict[str, Any]

_WORDS: dict[type, str] = {
    str: "text",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    list: "a list",
    type(None): "nothing",
}
_EXACT = 2**53  # above it, a JSON number with a fraction or an exponent is not exact
_MILLISECONDS = 10**11  # as seconds, this would be the year 5138


def refuse(name: str, expected: str, value: object) -> NoReturn:
    """Say which field is wrong, without its value."""
    found = _WORDS.get(type(value), "an object")
    raise MalformedEventError(f"{name}: expected {expected}, got {found}")


def text(data: Document, name: str) -> str | None:
    """Read a text."""
    value = data.get(name)
    if isinstance(value, str):
        return whole_text(value)
    return None if value is None else refuse(name, "text", value)


def flag(data: Document, name: str) -> bool | None:
    """Read a boolean."""
    value = data.get(name)
    if value is None or isinstance(value, bool):
        return value
    return refuse(name, "a boolean", value)


def whole(data: Document, name: str) -> int | None:
    """Read a whole number: a count, or an amount in minor units."""
    value = data.get(name)
    if value is None or type(value) is int:
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
        return int(value)
    return refuse(name, "a whole number", value)


def time(data: Document, name: str) -> datetime | None:
    """Read a time: ISO 8601, of which a date is midnight, or unix seconds or milliseconds."""
    value = data.get(name)
    if value is None:
        return None
    try:
        if isinstance(value, str):
            return _utc(datetime.fromisoformat(value))
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value / 1000 if value >= _MILLISECONDS else value, UTC)
    except (ValueError, OverflowError, OSError):
        pass  # what it is instead of a time is said below
    return refuse(name, "a time", value)


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def document(value: object) -> Document | None:
    """Return an object of JSON; anything else is None."""
    return cast("Document", value) if isinstance(value, dict) else None


def record(data: Document, name: str) -> Document | None:
    """Read an object; anything else is None."""
    return document(data.get(name))


def mapping(data: Document, name: str) -> Document:
    """Read an object; anything else is empty."""
    return record(data, name) or {}


def texts(data: Document, name: str) -> tuple[str, ...]:
    """Read a list of texts; a missing one is empty."""
    value = data.get(name)
    if value is None:
        return ()
    if not isinstance(value, list):
        return refuse(name, "a list", value)
    return tuple(
        whole_text(item) if isinstance(item, str) else refuse(name, "a list of texts", item)
        for item in cast("list[object]", value)
    )


def user(data: Document, name: str) -> EventUser | None:
    """Read a fan or a creator."""
    value = data.get(name)
    if value is None:
        return None
    found = document(value)
    if found is None:
        return refuse(name, "an object", value)
    uuid = text(found, "uuid")
    if uuid is None:
        return refuse(f"{name}.uuid", "text", uuid)
    return EventUser(
        uuid=uuid,
        handle=text(found, "handle"),
        display_name=text(found, "display_name"),
        avatar_url=text(found, "avatar_url"),
        email=text(found, "email"),
    )


def identity(data: Document, name: str) -> str | None:
    """Read the id of an object of which nothing else matters; it may be a mere text."""
    value = data.get(name)
    found = document(value)
    if found is not None:
        return text(found, "uuid") or text(found, "id")
    return text(data, name) if isinstance(value, str) else None


def checkout_link(data: Document, name: str) -> CheckoutLink | None:
    """Read a checkout link."""
    found = record(data, name)
    if found is None:
        return None
    return CheckoutLink(
        uuid=text(found, "uuid"),
        name=text(found, "name"),
        product_uuid=text(found, "product_uuid"),
        product_price_uuid=text(found, "product_price_uuid"),
    )


def tracking(data: Document, name: str) -> Tracking | None:
    """Read a tracking link."""
    found = record(data, name)
    if found is None:
        return None
    return Tracking(link_url=text(found, "link_url"), metadata=mapping(found, "metadata"))
