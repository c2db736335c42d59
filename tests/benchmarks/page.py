"""A page of 50 messages as the API sends it, 28 kB."""

from __future__ import annotations

import json
from typing import Any


def _uuid(number: int) -> str:
    return f"3fa85f64-5717-4562-b3fc-{number:012x}"


def _message(number: int) -> dict[str, Any]:
    people = [{"uuid": _uuid(1), "handle": "creator"}, {"uuid": _uuid(2), "handle": "a-fan"}]
    has_media = number % 5 == 0
    return {
        "uuid": _uuid(1_000 + number),
        "text": f"Message {number}: " + "good morning, how was your weekend? " * 3,
        "sentAt": f"2026-05-15T12:{number:02}:00.000Z",
        "sender": people[number % 2],
        "recipient": people[1 - number % 2],
        "hasMedia": has_media,
        "mediaType": "image" if has_media else None,
        "mediaUuids": [_uuid(5_000 + number)] if has_media else [],
        "type": "SINGLE_RECIPIENT",
        "pricing": {"USD": {"price": 999}} if number % 10 == 0 else None,
        "purchasedAt": None,
        "sentByUserId": None,
        "isRead": number > 3,
    }


PAGE = json.dumps(
    {
        "data": [_message(number) for number in range(50)],
        "pagination": {"page": 1, "size": 50, "hasMore": True},
    },
    ensure_ascii=False,
).encode()
