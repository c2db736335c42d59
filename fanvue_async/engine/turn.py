"""A call's turn at the gate of its bucket: taken before each attempt, and ended after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fanvue_async import errors
from fanvue_async.engine.answers import Answer
from fanvue_async.engine.failures import Failure
from fanvue_async.engine.gate import GateClosedError, TooLongError

if TYPE_CHECKING:
    from fanvue_async.engine.call import Call
    from fanvue_async.engine.gate import Gate


def try_take(call: Call[Any], now: float) -> bool:
    """Take the turn if it needs no waiting."""
    gate = _gate(call)
    if not gate.try_enter(now):
        return False
    call.gate = gate
    return True


async def take(call: Call[Any]) -> Failure | None:
    """Wait for the turn; who was sent before goes before those who were not."""
    pool, gate = call.pool, _gate(call)
    call.wait_until = call.wait_until or pool.clockwork.clock() + pool.rate_limits.max_wait
    if seconds := gate.seconds_for(0):
        pool.notices.rate_limit_wait(_bucket(call), seconds)
    try:
        await gate.enter(min(call.deadline, call.wait_until), first=call.attempts > 0)
    except TooLongError as error:
        return Failure(
            errors.RateLimitError,
            f"the rate limit allows this call in {error.seconds:.1f} s, which is later than "
            "RateLimits(max_wait=…) or Timeout(total=…) allows",
            details={"status": 429, "retry_after": error.seconds, "from_api": False},
        )
    except GateClosedError:
        return Failure(errors.ClientStateError, "the client is closed")
    call.gate = gate
    return None


def end(call: Call[Any], result: Answer | Failure | None, started: float) -> None:
    """End the turn that was taken, and learn what the response says about the bucket."""
    gate, call.gate = call.gate, None
    assert gate is not None
    if isinstance(result, Answer):
        assert call.pool.gates is not None
        assert call.family is not None
        call.pool.gates.note(call.family, call.request.name, result, started)
    gate.leave(was_sent=call.left)


def refuse(call: Call[Any], retry_after: float | None) -> None:
    """Close the gate after a 429."""
    _gate(call).refuse(retry_after)


def _gate(call: Call[Any]) -> Gate:
    gates, request = call.pool.gates, call.request
    assert gates is not None
    family = call.family = gates.family(call.terms.account_of(call.bearer), request.creator)
    return family.gate(request.name)


def _bucket(call: Call[Any]) -> str:
    account, creator = call.terms.account_of(call.bearer), call.request.creator
    return f"{account}/{creator}" if creator else account
