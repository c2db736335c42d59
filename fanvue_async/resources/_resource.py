"""What all nouns are: methods on a session."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from fanvue_async.engine.operation import Operation
from fanvue_async.engine.session import Session
from fanvue_async.resources._check import Check

T = TypeVar("T")


class Resource:
    """The base of each noun: a session, and the one way to call an operation with it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def _check(self, operation: Operation[Any]) -> Check:
        """Return the checks of the arguments of a call."""
        return Check(operation, self._session.creator)

    def _call(
        self,
        operation: Operation[T],
        *values: object,
        query: Mapping[str, object] | None = None,
        json: Mapping[str, object] | None = None,
    ) -> Coroutine[Any, Any, T]:
        """Call an operation with the values of its path, in the template's order."""
        return self._session.call(operation, *values, query=query, json=json)
