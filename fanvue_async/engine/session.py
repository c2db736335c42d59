"""The async session wrapper: what a client and its resources call the API with."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from fanvue_async.engine.attempt import attempt
from fanvue_async.engine.call import Call
from fanvue_async.engine.recovery import Recovery

if TYPE_CHECKING:
    from fanvue_async.engine.operation import Operation, Request
    from fanvue_async.engine.terms import Terms

T = TypeVar("T")


class Session:
    """Makes calls on given terms."""

    __slots__ = ("terms",)

    def __init__(self, terms: Terms) -> None:
        self.terms: Terms = terms

    @property
    def creator(self) -> str | None:
        """The creator whom calls act for, or None for the token's own account."""
        return self.terms.creator

    def call(
        self,
        operation: Operation[T],
        *values: object,
        query: Mapping[str, object] | None = None,
        json: Mapping[str, object] | None = None,
    ) -> Coroutine[Any, Any, T]:
        """Bind an operation to values and send it; see ``Operation.bind`` and ``send``."""
        request = operation.bind(values, query, json, self.terms.creator)
        return self.send(request)

    async def send(self, request: Request[T]) -> T:
        """Run one call to its value or its typed error, within ``Timeout.total``."""
        call = Call(self.terms, request)
        del request  # out of this frame: it may be signed, or large
        # As `recovery.run` does, but without a frame more for each call.
        failed = await attempt(call)
        if failed is not None:
            failed = await Recovery(call).run(failed)
        if failed is None:
            return call.value
        # Raised here, outside of any `except` and with nothing left in this frame, so that the
        # error has no chain, forms no cycle, and leads a debugger to no header or response.
        error = failed.error
        del call, failed
        try:
            raise error
        finally:
            del error
