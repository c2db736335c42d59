"""How what we keep in a store is written: JSON with a version, so that releases understand it."""

from __future__ import annotations

import json
from typing import Any, cast

from fanvue_async.errors import StoreError

_VERSION = "v"


def dump(fields: dict[str, Any], *, version: int = 1) -> bytes:
    """Write ``fields`` as a document of the ``version`` of its kind."""
    return json.dumps({_VERSION: version, **fields}, separators=(",", ":")).encode()


def load(value: bytes, *, version: int = 1) -> dict[str, Any]:
    """Read the fields of a document that is no newer than ``version``.

    Raises:
        StoreError: another program wrote it, or a newer release of this package.

    """
    fields = _parse(value)
    del value  # the traceback of a failure may show the locals of this frame
    found = fields.pop(_VERSION, None)
    if not isinstance(found, int):
        fields.clear()
        raise StoreError("the store holds something that this package did not write")
    if found > version:
        fields.clear()
        raise StoreError("the store holds something that a newer release of this package wrote")
    return fields


def _parse(value: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(value)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", fields) if isinstance(fields, dict) else {}
