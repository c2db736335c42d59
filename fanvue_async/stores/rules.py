"""What every store of this package does in the same way."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, Final

from fanvue_async.engine.wire import is_unicode
from fanvue_async.errors import ClientStateError, InvalidArgumentError
from fanvue_async.stores import ABSENT, ANY

if TYPE_CHECKING:
    from fanvue_async.stores import Condition, Entry

VERSION_LENGTH: Final = 32
_KEY_LENGTH = 1_000
_LONGEST = 100 * 365 * 86_400.0


def new_version() -> str:
    """Return 128 random bits as 32 characters."""
    return secrets.token_hex(VERSION_LENGTH // 2)


def matches(entry: Entry | None, version: str | Condition) -> bool:
    """Return whether a key that holds ``entry`` meets the condition of a `put`."""
    if version is ANY:
        return True
    return entry is None if version is ABSENT else entry is not None and entry.version == version


def check_key(key: str) -> None:
    """Refuse a key that some database could not hold.

    Raises:
        InvalidArgumentError: it is not a str of 1 to 1,000 characters of valid Unicode without NUL.

    """
    if (
        not isinstance(key, str)
        or not 0 < len(key) <= _KEY_LENGTH
        or "\0" in key
        or not is_unicode(key)
    ):
        raise InvalidArgumentError(
            "a key must be a str of 1 to 1,000 characters of valid Unicode, without NUL"
        )


def check_prefix(prefix: str) -> None:
    """Refuse what no key can begin with; the empty prefix stands for all keys."""
    if prefix:
        check_key(prefix)


def check_content(value: bytes, expires_in: float | None) -> None:
    """Refuse a value that is not bytes, and an expiry that is not a positive number of seconds.

    Raises:
        InvalidArgumentError: one of them; 0, infinity and more than 100 years are no expiry.

    """
    if not isinstance(value, bytes | bytearray | memoryview):
        raise InvalidArgumentError("a value must be bytes")
    if expires_in is None:
        return
    if not isinstance(expires_in, int | float) or not 0 < expires_in <= _LONGEST:
        raise InvalidArgumentError("expires_in must be more than 0 seconds and at most 100 years")


class Owner:
    """The process that made a store, the only one that may use it."""

    __slots__ = ("_name", "_pid")

    def __init__(self, name: str) -> None:
        self._name = name
        self._pid = os.getpid()

    def check(self) -> None:
        """Refuse a forked child, whose parent uses the same file or connection.

        Raises:
            ClientStateError: this is another process.

        """
        if os.getpid() != self._pid:
            raise ClientStateError(
                f"this {self._name} belongs to the process that made it; make one after the fork"
            )
