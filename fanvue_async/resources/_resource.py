"""What all nouns are: methods on a session."""

from __future__ import annotations

from typing import Any

from fanvue_async.engine.operation import Operation
from fanvue_async.engine.session import Session
from fanvue_async.resources._check import Check


class Resource:
    """The base of each noun: a session, and the one way to call an operation with it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._call = session.call
        """Calls an operation with the values of its path, in the template's order."""
        self._checks: dict[Operation[Any], Check] = {}

    def _check(self, operation: Operation[Any]) -> Check:
        """Return the checks of the arguments of a call."""
        check = self._checks.get(operation)
        if check is None:
            check = self._checks[operation] = Check(operation, self._session.creator)
        return check
