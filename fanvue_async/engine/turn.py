"""One call's turns at the gate of its bucket of the rate limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fanvue_async import errors
from fanvue_async.engine.answers import Answer
from fanvue_async.engine.failures import Failure
from fanvue_async.engine.gate import GateClosedError, TooLongError

if TYPE_CHECKING:
    from fanvue_async.engine.credentials import Bearer
    from fanvue_async.engine.gate import Family, Gate, Gates
    from fanvue_async.engine.operation import Request
    from fanvue_async.engine.terms import Terms


class Turn:
    """A call's turn: taken before each of its attempts is sent, and ended after it."""

    __slots__ = ("_family", "_gates", "_request", "_taken", "_terms", "_until")

    def __init__(self, gates: Gates, terms: Terms, request: Request[Any]) -> None:
        self._gates = gates
        self._terms = terms
        self._request = request
        self._family: Family  # of the gate that was looked at last
        self._taken: Gate | None = None
        self._until = 0.0  # how long the call waits for the rate limit at most

    @property
    def is_taken(self) -> bool:
        """Whether the attempt may be sent."""
        return self._taken is not None

    def try_take(self, bearer: Bearer | None) -> bool:
        """Take the turn if it needs no waiting."""
        gate = self._gate(bearer)
        if not gate.try_enter():
            return False
        self._taken = gate
        return True

    async def take(self, bearer: Bearer | None, deadline: float, *, again: bool) -> Failure | None:
        """Wait for the turn; ``again`` goes before those who have not been sent yet."""
        pool = self._terms.pool
        gate = self._gate(bearer)
        self._until = self._until or pool.clockwork.clock() + pool.rate_limits.max_wait
        if seconds := gate.seconds_for(0):
            pool.notices.rate_limit_wait(self._bucket(bearer), seconds)
        try:
            await gate.enter(min(deadline, self._until), first=again)
        except TooLongError as error:
            return Failure(
                errors.RateLimitError,
                f"the rate limit allows this call in {error.seconds:.1f} s, which is later than "
                "RateLimits(max_wait=…) or Timeout(total=…) allows",
                details={"status": 429, "retry_after": error.seconds, "from_api": False},
            )
        except GateClosedError:
            return Failure(errors.ClientStateError, "the client is closed")
        self._taken = gate
        return None

    def end(self, result: Answer | Failure | None, started: float, *, was_sent: bool) -> None:
        """End the turn, and learn what the response says about the bucket."""
        gate, self._taken = self._taken, None
        if gate is None:
            return
        if isinstance(result, Answer):
            self._gates.note(self._family, self._request.name, result, started)
        gate.leave(was_sent=was_sent)

    def refuse(self, bearer: Bearer | None, retry_after: float | None) -> None:
        """Close the gate after a 429."""
        self._gate(bearer).refuse(retry_after)

    def _gate(self, bearer: Bearer | None) -> Gate:
        account, request = self._terms.account_of(bearer), self._request
        family = self._family = self._gates.family(account, request.creator)
        return family.gate(request.name)

    def _bucket(self, bearer: Bearer | None) -> str:
        account, creator = self._terms.account_of(bearer), self._request.creator
        return f"{account}/{creator}" if creator else account
