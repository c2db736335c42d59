"""A call's turn at the gate of its bucket: taken before each attempt, and ended after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fanvue_async import errors
from fanvue_async.engine.answers import Answer
from fanvue_async.engine.call import too_late
from fanvue_async.engine.failures import Failure
from fanvue_async.engine.gate import GateClosedError, TooLongError

if TYPE_CHECKING:
    from fanvue_async.engine.call import Call
    from fanvue_async.engine.gate import Family

_WORTH_TELLING = 0.1  # seconds; less is a look into the store


def try_take(call: Call[Any], now: float) -> bool:
    """Take the turn if it needs no waiting."""
    gate = _gates(call).gate(call.request.name)
    if not gate.try_enter(now):
        return False
    call.gate = gate
    return True


async def take(call: Call[Any]) -> Failure | None:
    """Wait for the turn; a call that was sent before goes first."""
    pool, gates = call.pool, _gates(call)
    gate = gates.gate(call.request.name)
    call.wait_until = call.wait_until or pool.clockwork.clock() + pool.rate_limits.max_wait
    first = call.attempts > 0
    if (seconds := gate.seconds_for(gate.place_of_next(first=first))) >= _WORTH_TELLING:
        pool.notices.rate_limit_wait("/".join(gates.key), seconds)
    try:
        await gate.enter(min(call.deadline, call.wait_until), first=first)
    except TooLongError as error:
        if pool.clockwork.clock() >= call.deadline:
            return too_late(call)
        return Failure(
            errors.RateLimitError,
            f"the rate limit allows this call in {error.seconds:.1f} s, which is later than its "
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
        _gates(call).note(call.request.name, result, started)
        gate.leave()
    else:
        gate.leave(was_sent=call.left)


def give_back(call: Call[Any]) -> None:
    """Give a turn back that was taken, if it was, for nothing is sent in it."""
    gate, call.gate = call.gate, None
    if gate is not None:
        gate.leave(was_sent=False)


def refuse(call: Call[Any], retry_after: float | None) -> None:
    """Close the gate after a 429."""
    _gates(call).gate(call.request.name).refuse(retry_after)


def _gates(call: Call[Any]) -> Family:
    assert call.bucket is not None
    assert call.bucket.gates is not None
    return call.bucket.gates
