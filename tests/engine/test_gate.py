"""The gate: who waits for the rate limit, how long, and who goes next. Time is virtual."""

from __future__ import annotations

import asyncio
import math
import random
from email.utils import formatdate
from typing import TYPE_CHECKING

import attrs
import pytest
from support.virtual import run

from fanvue_async.engine.answers import Answer
from fanvue_async.engine.gate import Family, Gate, GateClosedError, Gates, TooLongError
from fanvue_async.engine.shares import SharedAllowance
from fanvue_async.engine.window import Report, ServerClock, Window
from fanvue_async.errors import StoreError
from fanvue_async.stores import ABSENT, Entry, MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from fanvue_async.stores import Store

EPOCH = 1_000_000_000.0
"""The API's time when the loop's is 0."""
FOREVER = math.inf


@attrs.define(slots=False)
class Api:
    """The API's side of one bucket: a limit for each window, filled again as a whole."""

    limit: int = 40
    window: float = 3.0
    delay: float = 0.01
    """Seconds from a request to its response, half of it on the way there."""
    says: bool = True
    """Whether its responses carry the headers."""
    clock_error: float = 0.0
    used: dict[int, int] = attrs.field(factory=dict[int, int])
    refused: int = 0

    async def call(self) -> Answer:
        """Answer a request."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self.delay / 2)
        now = EPOCH + loop.time() + self.clock_error
        number = math.floor(now / self.window)
        used = self.used[number] = self.used.get(number, 0) + 1
        is_refused = used > self.limit
        self.refused += is_refused
        headers = {"Date": formatdate(now, usegmt=True)}
        reset = (number + 1) * self.window
        if self.says:
            headers |= {
                "X-RateLimit-Limit": str(self.limit),
                "X-RateLimit-Remaining": str(max(0, self.limit - used)),
                "X-RateLimit-Reset": f"{reset:.0f}",
            }
        if is_refused:
            headers["Retry-After"] = str(math.ceil(reset - now))
        await asyncio.sleep(self.delay / 2)
        return Answer(429 if is_refused else 200, headers)


def clocked(kind: type[MemoryStore] = MemoryStore) -> MemoryStore:
    """Make a store whose entries expire by the loop's time."""
    return kind(_clock=asyncio.get_running_loop().time)


@attrs.define
class Process:
    """One process's gates, and calls that go through them as ``Call`` lets them."""

    api: Api
    store: Store | None = None
    account: str = "anna"
    gates: Gates = attrs.field(init=False)
    family: Family = attrs.field(init=False)
    order: list[int] = attrs.field(factory=list[int])

    def __attrs_post_init__(self) -> None:
        self.use(Gates(asyncio.get_running_loop().time, self.store))

    def use(self, gates: Gates) -> None:
        """Go through these gates from now on."""
        self.gates, self.family = gates, gates.family(self.account, None)

    @property
    def gate(self) -> Gate:
        """The gate of the account's bucket."""
        return self.family.gate("GET /chats")

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits, and nobody is in flight."""
        return not self.gate._waiters and not self.gate._in_flight

    async def call(self, number: int = 0, *, until: float = FOREVER) -> float:
        """Make one call, and return when it was let through."""
        loop, first = asyncio.get_running_loop(), False
        while True:
            gate = self.gate
            if not gate.try_enter():
                await gate.enter(until, first=first)
            self.order.append(number)
            went = loop.time()
            answer = await self.api.call()
            self.family.note("GET /chats", answer, went)
            gate.leave()
            if answer.status != 429:
                return went
            first = True
            retry_after = answer.headers.get("Retry-After")
            gate.refuse(float(retry_after) if retry_after else None)


def in_virtual_time(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run a test in virtual time."""

    def ran() -> None:
        run(test())

    ran.__name__, ran.__doc__ = test.__name__, test.__doc__
    return ran


@in_virtual_time
async def test_a_bucket_is_used_up_and_never_overdrawn() -> None:
    """200 calls on 40 per window take five windows, and none of them is refused."""
    process = Process(Api())
    times = await asyncio.gather(*(process.call() for _ in range(200)))
    assert process.api.refused == 0
    assert [process.api.used[number] for number in sorted(process.api.used)] == [40] * 5
    assert max(times) <= 5 * 3.0


@in_virtual_time
async def test_the_first_call_goes_alone() -> None:
    """A bucket that nothing is known of is asked by one call first."""
    process = Process(Api(limit=1_000))
    times = sorted(await asyncio.gather(*(process.call() for _ in range(20))))
    assert times[0] == 0.0
    assert times[1] >= process.api.delay


@in_virtual_time
async def test_first_come_first_served() -> None:
    """Calls go in the order in which they came, over the windows."""
    process = Process(Api(limit=10))
    await asyncio.gather(*(process.call(number) for number in range(45)))
    assert process.order == list(range(45))


@in_virtual_time
async def test_a_clock_an_hour_off_does_not_matter() -> None:
    """The window goes by the API's own clock."""
    process = Process(Api(clock_error=3_600.0))
    times = await asyncio.gather(*(process.call() for _ in range(120)))
    assert process.api.refused == 0
    assert max(times) <= 3 * 3.0 + 1.0


@in_virtual_time
async def test_a_server_that_says_nothing_is_open_until_it_refuses() -> None:
    """Without headers, calls go until a 429 closes the gate; then they wait it out."""
    process = Process(Api(says=False, limit=40))
    await asyncio.gather(*(process.call() for _ in range(100)))
    assert process.api.refused > 0
    assert sum(process.api.used.values()) == 100 + process.api.refused


@in_virtual_time
async def test_a_wait_in_vain_is_not_begun() -> None:
    """A call that cannot go before its deadline fails at once, and nothing is sent."""
    process = Process(Api(limit=2, window=60.0))
    await process.call()
    await process.call()
    now = asyncio.get_running_loop().time()
    with pytest.raises(TooLongError) as caught:
        await process.call(until=now + 1.0)
    assert asyncio.get_running_loop().time() == now
    assert 0 < caught.value.seconds <= 60
    assert sum(process.api.used.values()) == 2


@in_virtual_time
async def test_who_waits_behind_too_many_is_told() -> None:
    """Calls whose window comes too late fail, as soon as that is known."""
    process = Process(Api(limit=10, window=60.0))
    await process.call()
    calls = [asyncio.create_task(process.call(until=150.0)) for _ in range(60)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    late = [result for result in results if isinstance(result, TooLongError)]
    assert len(results) - len(late) == 39  # windows begin at 0, 20, 80 and 140 s
    assert process.api.refused == 0


@pytest.mark.parametrize("cancelled", [0, 5, 19])
def test_a_cancelled_waiter_passes_its_turn_on(cancelled: int) -> None:
    """Whoever is cancelled while it waits costs nobody else a turn."""

    async def test() -> None:
        process = Process(Api(limit=5))
        tasks = [asyncio.create_task(process.call(number)) for number in range(20)]
        await asyncio.sleep(0.5)
        tasks[cancelled].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(result, float) for result in results) == 20 - (cancelled > 4)
        assert process.api.refused == 0
        assert process.is_idle

    run(test())


@in_virtual_time
async def test_a_turn_that_comes_with_a_cancel_is_not_lost() -> None:
    """A waiter that is cancelled in the very turn of the loop in which it may go gives it back."""
    process = Process(Api(limit=1))
    await process.call()
    waiting = asyncio.create_task(process.gate.enter(FOREVER, first=False))
    await asyncio.sleep(0)
    process.gate.allowance.window = Window(9, 1, 1)
    process.gate.admit()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert process.is_idle
    assert process.gate.try_enter()


@in_virtual_time
async def test_closing_ends_all_waits() -> None:
    """Whoever waits when the gates close is told so."""
    process = Process(Api(limit=1))
    await process.call()
    tasks = [asyncio.create_task(process.call()) for _ in range(3)]
    cancelled = asyncio.create_task(process.call())
    await asyncio.sleep(0)
    cancelled.cancel()
    process.gate._waiters[-1].future.cancel()
    process.gates.close()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(result) for result in results} == {GateClosedError}


@in_virtual_time
async def test_one_full_bucket_delays_no_other() -> None:
    """A creator's bucket and the account's own are used side by side."""
    process = Process(Api(limit=1, window=60.0))
    await process.call()
    other = process.gates.family("anna", "creator").gate("GET /chats")
    assert other.try_enter()
    assert not process.gate.try_enter()


@in_virtual_time
async def test_an_operation_with_a_limit_of_its_own_has_a_bucket_of_its_own() -> None:
    """Told apart by what its responses say; a limit that changes for all changes the bucket."""
    process = Process(Api())
    await process.call()

    def note(operation: str, limit: int, remaining: int) -> None:
        headers = {
            "Date": formatdate(EPOCH, usegmt=True),
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(remaining),
            "X-RateLimit-Reset": f"{EPOCH + 3:.0f}",
        }
        process.family.note(operation, Answer(200, headers), 0.0)

    note("POST /slow", 5, 0)
    assert process.family.gate("POST /slow") is not process.gate
    assert not process.family.gate("POST /slow").try_enter()
    assert process.gate.try_enter()
    note("POST /slow", 5, 0)
    assert not process.family.gate("POST /slow").try_enter()
    note("GET /chats", 30, 20)
    assert process.gate.allowance.window.limit == 30
    note("POST /slow", 30, 19)
    assert process.family.gate("POST /slow") is process.gate


def test_a_429_closes_the_gate_for_as_long_as_it_says() -> None:
    """Else up to the reset; else one second, and longer each time that it was not enough.

    A day or a year is not waited out: after an hour, a call asks again.
    """

    async def test() -> None:
        process = Process(Api())
        gate = process.gate
        for pause, seconds, expected in [
            (0.0, 5.0, 5.0),
            (5.0, None, 1.0),
            (0.0, None, 1.0),  # of a request that left with the one before
            (1.0, None, 2.0),
            (2.5, 0.0, 4.0),
            (4.0, None, 8.0),
            (60.0, None, 1.0),
        ]:
            await asyncio.sleep(pause)
            gate.refuse(seconds)
            assert gate.seconds_for(0) == pytest.approx(expected)
        await asyncio.sleep(2.0)
        await process.call()
        gate.allowance.window = attrs.evolve(gate.allowance.window, remaining=0)
        gate.refuse(None)
        assert 1.0 < gate.seconds_for(0) <= 3.0
        gate.refuse(999_999_999.0)
        assert gate.seconds_for(0) == pytest.approx(3_600.0)

    run(test())


def test_what_says_nothing_of_a_bucket() -> None:
    """A proxy's 502 does not; the API's own 404 without any limit does."""
    family = Gates(lambda: 0.0).family("anna", None)
    family.note("GET /chats", Answer(502, {}), 0.0)
    assert not family.main.allowance.is_open
    family.note("GET /chats", Answer(404, {}), 0.0)
    assert family.main.allowance.is_open


def test_the_operations_of_a_bucket_are_not_remembered_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Paths of ``client.request`` hold ids, so there may be any number of them."""
    monkeypatch.setattr("fanvue_async.engine.gate._MAX_MEMBERS", 2)
    family = Gates(lambda: 0.0).family("anna", None)
    headers = {
        "Date": formatdate(EPOCH, usegmt=True),
        "X-RateLimit-Limit": "5",
        "X-RateLimit-Remaining": "4",
        "X-RateLimit-Reset": f"{EPOCH + 3:.0f}",
    }
    for number in range(5):
        operation = f"GET /chats/{number}"
        family.note(operation, Answer(200, headers), 0.0)
        family.note(operation, Answer(200, {}), 0.0)  # which says nothing of it
        assert family.gate(operation).allowance.window.limit == 5
    assert len(family.members) == 2
    for number in range(5):
        family.note(
            f"GET /things/{number}", Answer(200, {**headers, "X-RateLimit-Limit": "7"}), 0.0
        )
    assert len(family._own) == 2
    assert family.gate("GET /things/4") is not family.main


@in_virtual_time
async def test_a_shared_bucket_whose_responses_say_nothing() -> None:
    """One process finds it open; the others learn of it from the store."""
    api, store = Api(says=False, limit=1_000), clocked()
    everyone = [Process(api, store) for _ in range(3)]
    await asyncio.gather(*(one.call() for one in everyone for _ in range(20)))
    assert api.refused == 0
    assert asyncio.get_running_loop().time() < 1.0
    for one in everyone:
        one.gates.close()


@in_virtual_time
async def test_a_report_that_comes_just_behind_another_is_told_as_well() -> None:
    """The store learns of it too, or nobody might ever know when the window ends."""
    process = Process(Api(), clocked())
    allowance = process.gate.allowance
    assert isinstance(allowance, SharedAllowance)
    await process.call()
    await asyncio.sleep(0.1)
    reports = [Report(40, remaining, EPOCH + 3) for remaining in (20, 10)]
    allowance.note(reports[0], 0.1)
    asyncio.get_running_loop().call_soon(allowance.note, reports[1], 0.1)
    await asyncio.sleep(0.1)

    stored, _ = await allowance._stored.read()

    assert stored is not None
    assert stored.remaining == 10
    process.gates.close()


@in_virtual_time
async def test_a_store_call_that_is_cancelled_is_not_begun_anew_at_once() -> None:
    """By a store that cancels what it is asked; the next call of ours asks again."""
    process = Process(Api(), clocked())
    allowance = process.gate.allowance
    assert isinstance(allowance, SharedAllowance)
    await process.call()
    await asyncio.sleep(0.1)
    read, reads = allowance._stored.read, 0

    async def cancelled() -> Any:
        nonlocal reads
        reads += 1
        raise asyncio.CancelledError

    allowance._stored.read = cancelled  # type: ignore[method-assign] # of this one object
    allowance.note(Report(40, 20, EPOCH + 3), 0.1)
    await asyncio.sleep(0.1)
    assert (reads, allowance._task) == (1, None)
    allowance._stored.read = read  # type: ignore[method-assign] # likewise
    await asyncio.gather(*(process.call() for _ in range(10)))
    process.gates.close()


@in_virtual_time
async def test_a_first_429_without_a_word_closes_a_shared_gate_as_long_as_any() -> None:
    """A look into the store that is under way is no end of the wait."""
    process = Process(Api(), clocked())
    assert not process.gate.try_enter()
    process.gate.refuse(None)
    assert process.gate.seconds_for(0) == 1.0
    process.gates.close()


@in_virtual_time
async def test_a_window_whose_responses_were_all_lost_ends() -> None:
    """A process that was killed with all of it in flight holds the others up for one at most."""
    api, store = Api(limit=5), clocked()
    killed, other = Process(api, store), Process(api, store)
    await asyncio.gather(*(killed.call() for _ in range(5)))
    api.delay = 600.0
    lost = [asyncio.create_task(killed.call()) for _ in range(5)]
    await asyncio.sleep(3.5)
    assert all(not call.done() for call in lost)
    killed.gates.close()
    api.delay = 0.02
    began = asyncio.get_running_loop().time()
    await other.call()
    assert asyncio.get_running_loop().time() - began <= 30.0
    for call in lost:
        call.cancel()
    other.gates.close()


@in_virtual_time
async def test_any_account_has_a_shared_bucket() -> None:
    """A provider may name it as it likes; its name is hashed, half an emoji too."""
    process = Process(Api(), clocked(), account="half \ud83d")
    await process.call()
    process.gates.close()


@in_virtual_time
async def test_who_does_not_know_the_time_of_the_api_looks_now_and_then() -> None:
    """Not a thousand times a second, though the machine's clock is ahead of the API's."""
    api, store = Api(limit=1), clocked()
    first, other = Process(api, store), Process(api, store)
    await first.call()
    looks = list[float]()

    def ahead() -> float:
        looks.append(EPOCH + 3_600.0)
        return looks[-1]

    other.gate.allowance.clock._wall = ahead
    assert 2.0 <= await other.call() <= 2.2
    assert len(looks) < 200
    for one in (first, other):
        one.gates.close()


@pytest.mark.parametrize("known", [False, True])
def test_a_shared_request_that_never_left_is_given_back(known: bool) -> None:
    """Whether it was to ask an unknown bucket, or was drawn from a window."""

    async def test() -> None:
        process = Process(Api(limit=1), clocked())
        if known:
            await process.call()
            await asyncio.sleep(3.0)
        await process.gate.enter(FOREVER, first=False)
        process.gate.leave(was_sent=False)
        began = asyncio.get_running_loop().time()
        await process.call()
        assert asyncio.get_running_loop().time() < began + 0.1
        process.gates.close()
        with pytest.raises(GateClosedError):
            await process.gate.enter(FOREVER, first=False)
        process.family.note("GET /chats", await process.api.call(), 0.0)  # of a call in flight
        assert len(asyncio.all_tasks()) == 1

    run(test())


@in_virtual_time
async def test_a_report_that_comes_too_late_for_the_store() -> None:
    """The window may have ended when the store can be told of it; then it says nothing."""
    store = clocked()
    process = Process(Api(window=1.0), store)
    allowance = process.gate.allowance
    await process.gate.enter(FOREVER, first=False)
    answer = await process.api.call()
    process.family.note("GET /chats", answer, 0.0)
    allowance.clock._offset = EPOCH + 100  # time passes
    await asyncio.sleep(0.1)
    process.gate.leave()
    await process.call()
    process.gates.close()


@pytest.mark.parametrize("reset", [0, EPOCH - 5, EPOCH + 86_400])
@pytest.mark.parametrize("shared", [False, True])
def test_a_reset_that_makes_no_sense(reset: float, shared: bool) -> None:
    """In the past or a day ahead: the bucket is as open as one that says nothing."""

    async def test() -> None:
        store = clocked() if shared else None
        process = Process(Api(), store)
        call = process.api.call

        async def odd() -> Answer:
            answer = await call()
            headers = {**answer.headers, "X-RateLimit-Reset": f"{reset:.0f}"}
            return Answer(200, headers)

        process.api.call = odd  # type: ignore[method-assign] # of this one object
        await asyncio.gather(*(process.call() for _ in range(100)))
        assert asyncio.get_running_loop().time() < 1.0
        process.gates.close()

    run(test())


@pytest.mark.parametrize(
    ("window", "report", "expected"),
    [
        pytest.param(Window(), Report(40, 39, 3), Window(1, 40, 39, 3, 3), id="first"),
        pytest.param(
            Window(1, 40, 20, 3, 3), Report(40, 30, 3), Window(1, 40, 20, 3, 3), id="only lowers"
        ),
        pytest.param(
            Window(1, 40, 20, 3, 3), Report(40, 10, 3), Window(1, 40, 10, 3, 3), id="other program"
        ),
        pytest.param(
            Window(2, 40, 20, 6, 3), Report(40, 0, 3), Window(2, 40, 20, 6, 3), id="older window"
        ),
        pytest.param(
            Window(1, 40, 0, 3, 3), Report(40, 39, 6), Window(2, 40, 39, 6, 6), id="newer window"
        ),
        pytest.param(
            Window(2, 40, 30, None, 3), Report(40, 38, 3), Window(2, 40, 30, 3, 3), id="its end"
        ),
        pytest.param(
            Window(1, 40, 20, 3, 3), Report(30, 19, 3), Window(1, 30, 19, 3, 3), id="new limit"
        ),
        pytest.param(
            Window(1, 40, 20, 3, 3), Report(40, 0, -5), Window(1, 40, 20, 3, 3), id="in the past"
        ),
        pytest.param(
            Window(1, 40, 20, 3, 3), Report(40, 0, 86_400), Window(1, 40, 20, 3, 3), id="a day off"
        ),
    ],
)
def test_a_report_corrects_a_window(window: Window, report: Report, expected: Window) -> None:
    """Within a window a report only lowers what is left; what makes no sense changes nothing."""
    assert window.reported(report, 0.0) == expected


def test_the_servers_clock_is_never_ahead() -> None:
    """It is learned from Date, keeps the latest of what they prove, and follows a step back."""
    clock = ServerClock(lambda: 5.0)
    assert clock.at(100.0) == 5.0
    for nothing in ({}, {"Date": "soon"}):
        clock.note(nothing, 0.0, 0.0)
        assert clock.at(100.0) == 5.0
    for now, date in [(0.9, EPOCH), (1.01, EPOCH + 1), (1.5, EPOCH + 1)]:
        clock.note({"Date": formatdate(date, usegmt=True)}, now, now)
        assert clock.at(now) <= EPOCH + now
    assert clock.at(2.0) == pytest.approx(EPOCH + 1.99, abs=0.01)
    clock.note({"Date": formatdate(EPOCH - 100, usegmt=True)}, 3.0, 3.0)
    assert clock.at(3.0) == pytest.approx(EPOCH - 100)


@pytest.mark.parametrize("processes", [2, 5, 20])
def test_processes_share_a_bucket(processes: int) -> None:
    """Processes on one store draw a bucket up together, and none of them is refused."""

    async def test() -> None:
        api, store = Api(limit=20), clocked()
        everyone = [Process(api, store) for _ in range(processes)]
        calls = 100 // processes
        await asyncio.gather(*(one.call() for one in everyone for _ in range(calls)))
        assert api.refused == 0
        assert asyncio.get_running_loop().time() <= 1.1 * 5 * 3.0
        for one in everyone:
            one.gates.close()

    run(test())


class Slow(MemoryStore):
    """A store whose calls take their time, so that writes meet."""

    async def get(self, key: str) -> Entry | None:
        """Read, later."""
        await asyncio.sleep(0.002)
        return await super().get(key)

    async def put(self, key: str, value: bytes, **options: Any) -> str | None:
        """Write, later."""
        await asyncio.sleep(0.002)
        return await super().put(key, value, **options)


@in_virtual_time
async def test_processes_whose_writes_meet() -> None:
    """Who loses the race for a share reads again, and nothing is drawn twice."""
    api, store = Api(limit=20, delay=0.003), clocked(Slow)
    everyone = [Process(api, store) for _ in range(5)]
    await asyncio.gather(*(one.call() for one in everyone for _ in range(20)))
    assert api.refused == 0
    for one in everyone:
        one.gates.close()


@in_virtual_time
async def test_another_program_on_a_shared_bucket() -> None:
    """What others draw shows in the reports; the few refusals are waited out."""
    api, store = Api(), clocked()
    everyone = [Process(api, store) for _ in range(5)]

    async def draw() -> None:
        while True:
            await api.call()
            await asyncio.sleep(0.3)

    other = asyncio.create_task(draw())
    await asyncio.gather(*(one.call() for one in everyone for _ in range(40)))
    other.cancel()
    assert sum(api.used.values()) >= 200
    for one in everyone:
        one.gates.close()


class Broken:
    """A store that fails, or is read by another release."""

    def __init__(self, error: Exception | None = None, value: bytes = b"") -> None:
        self.error = error
        self.value = value
        self.reads = 0

    async def get(self, key: str) -> Entry | None:
        """Fail, or give what nobody understands."""
        del key
        self.reads += 1
        if self.error is not None:
            raise self.error
        return Entry(self.value, "1")

    async def put(self, key: str, value: bytes, **conditions: Any) -> str | None:
        """Accept anything."""
        del key, value
        assert conditions["version"] is not ABSENT
        return "2"


@pytest.mark.parametrize("error", [StoreError("down"), RuntimeError("a bug")])
def test_a_store_that_is_down(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """Each process goes by its own view then, and says so once."""

    async def test() -> None:
        process = Process(Api(), Broken(error))  # type: ignore[arg-type] # what is used of it
        other = Process(Api(), account="bob")
        other.use(process.gates)
        both = (process, other)
        await asyncio.gather(*(one.call() for one in both for _ in range(100)))
        assert process.api.refused == other.api.refused == 0
        process.gates.close()

    run(test())
    assert caplog.text.count("the rate-limit store failed") == 1


@pytest.mark.parametrize("value", [b"[]", b'{"format": 0}'])
def test_a_window_that_cannot_be_read(value: bytes) -> None:
    """It is as good as none."""

    async def test() -> None:
        process = Process(Api(), Broken(value=value))  # type: ignore[arg-type] # what is used of it
        await process.call()
        process.gates.close()

    run(test())


@in_virtual_time
async def test_many_buckets_are_each_used_up() -> None:
    """While calls wait, no bucket leaves anything unused, whatever the others do."""
    apis = [Api(limit=40) for _ in range(8)]
    gates = Gates(asyncio.get_running_loop().time)
    processes = [Process(api, account=str(number)) for number, api in enumerate(apis)]
    for process in processes:
        process.use(gates)
    await asyncio.gather(*(process.call() for process in processes for _ in range(120)))
    for api in apis:
        used = [api.used[number] for number in sorted(api.used)]
        assert api.refused == 0
        assert min(used[:-1]) >= 0.95 * 40


@pytest.mark.parametrize("delay", [0.002, 0.01, 0.08])
@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_where_others_use_a_bucket_some_of_it_is_left_alone(delay: float, spread: float) -> None:
    """Without a store, processes notice each other by the reports, and rarely meet a 429.

    The server handles one request at a time, so that a report is old when it arrives.
    """

    async def test() -> None:
        api, chance = Api(delay=0.0), random.Random(2026)
        call, busy = api.call, asyncio.Lock()

        async def call_one_by_one() -> Answer:
            await asyncio.sleep(delay / 2 * chance.uniform(1 - spread, 1 + spread))
            async with busy:
                await asyncio.sleep(0.001)
            answer = await call()
            await asyncio.sleep(delay / 2 * chance.uniform(1 - spread, 1 + spread))
            return answer

        api.call = call_one_by_one  # type: ignore[method-assign] # of this one object
        everyone = [Process(api) for _ in range(5)]
        await asyncio.gather(*(one.call() for one in everyone for _ in range(80)))
        assert api.refused <= 0.05 * (400 + api.refused)

    run(test())


@in_virtual_time
async def test_what_is_left_alone_for_others_is_as_good_as_used() -> None:
    """Who comes then waits for the next window, or fails at once; nobody looks all the time."""
    looks = 0

    def clock() -> float:
        nonlocal looks
        looks += 1
        return asyncio.get_running_loop().time()

    process = Process(Api(window=60.0))  # in the middle of a window
    process.use(Gates(clock))
    await process.call()
    await process.api.call()  # of another program
    await asyncio.gather(*(process.call() for _ in range(34)))
    assert process.gate.allowance.window.remaining == 4
    with pytest.raises(TooLongError):
        await process.call(until=asyncio.get_running_loop().time() + 1.0)
    looks = 0
    assert await process.call() == pytest.approx(20, abs=1.1)
    assert looks < 200


@in_virtual_time
async def test_a_bucket_that_others_use_is_asked_again_when_nothing_is_known_of_its_end() -> None:
    """If all responses of a window were lost, one call goes all the same."""
    process = Process(Api(limit=10))
    await process.call()
    await process.api.call()
    await process.call()
    allowance = process.gate.allowance
    allowance.window = attrs.evolve(allowance.window, remaining=1, reset=None)
    await process.call(until=asyncio.get_running_loop().time() + 1.0)


@in_virtual_time
async def test_the_end_of_a_call_is_waited_for_without_looking() -> None:
    """While a slow response is awaited, the gate looks once a second; then it goes on at once."""
    looks = 0

    def clock() -> float:
        nonlocal looks
        looks += 1
        return asyncio.get_running_loop().time()

    process = Process(Api(delay=5.0, limit=4, window=60.0))
    process.use(Gates(clock))
    times = sorted(await asyncio.gather(*(process.call() for _ in range(4))))
    assert times == pytest.approx([0, 5, 10, 15])
    assert looks < 200


@in_virtual_time
async def test_a_wait_that_turns_out_shorter_ends_in_time() -> None:
    """The gate looks earlier than it meant to."""
    process = Process(Api(limit=1))
    await process.call()
    waiting = asyncio.create_task(process.gate.enter(FOREVER, first=False))
    await asyncio.sleep(0)
    now, allowance = asyncio.get_running_loop().time(), process.gate.allowance
    soon = allowance.clock.at(now) + 0.2
    allowance.window = attrs.evolve(allowance.window, reset=soon)
    process.gate.admit()
    await waiting
    assert asyncio.get_running_loop().time() == pytest.approx(now + 0.2, abs=0.01)
