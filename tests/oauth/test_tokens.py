"""Tokens that renew themselves: once for all, in time, and never at the cost of the sign-in."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from support.leaks import shown_by

from fanvue_async import (
    ClientStateError,
    ConfigurationError,
    DeadlineExceededError,
    FanvueError,
    SignInRequiredError,
    StoreError,
    TokenError,
    TokenProvider,
)
from fanvue_async.oauth.endpoint import Hidden
from fanvue_async.oauth.hook import Hook
from fanvue_async.oauth.renewal import Tasks
from fanvue_async.stores import ANY, Entry, MemoryStore
from fanvue_async.stores.claims import LEASE, Lease

if TYPE_CHECKING:
    from support.sign_ins import World

    from fanvue_async.oauth import AccountToken
    from fanvue_async.stores import Condition

_TOKEN = "POST /oauth2/token"


async def _settle() -> None:
    """Let what runs in the background end."""
    for _ in range(50):
        await asyncio.sleep(0.002)


# In time


async def test_five_hundred_calls_share_one_exchange(world: World) -> None:
    """All of them wait for it and succeed."""
    token = await world.connected(await world.app())
    client = world.client(token)
    world.clock.now += 3_601

    await asyncio.gather(*(client.users.me() for _ in range(500)))

    assert world.exchanges == 1


async def test_an_ageing_token_is_renewed_in_the_background(world: World) -> None:
    """Callers go on with it, and get the new one when it is there."""
    token = await world.connected(await world.app())
    first = await token.get_token()
    world.clock.now += 3_000
    assert await token.get_token() == first
    await _settle()
    assert world.exchanges == 0

    world.clock.now += 400
    assert [await token.get_token() for _ in range(5)] == [first] * 5
    await _settle()

    assert await token.get_token() != first
    assert world.exchanges == 1


async def test_a_renewal_that_fails_early_is_no_error(world: World) -> None:
    """The token goes on until it expires, with a try now and then; only then callers are told."""
    token = await world.connected(await world.app())
    first = await token.get_token()
    world.fake.reply(503, times=1_000, on=_TOKEN)
    world.clock.now += 3_400
    for _ in range(15):
        assert await token.get_token() == first
        await _settle()
        world.clock.now += 10
    assert 2 <= world.asked - 1 <= 10

    world.clock.now += 60
    with pytest.raises(TokenError, match="503") as caught:
        await token.get_token()

    assert caught.value.attempts == 3
    assert caught.value.transient


async def test_another_process_renews_an_ageing_token(world: World) -> None:
    """Who finds the lease taken goes on with what it has; it is read when it is stored."""
    one, two = [(await world.app()).token("anna") for _ in range(2)]
    await world.connected(await world.app())
    first = await one.get_token()
    assert await two.get_token() == first
    world.clock.now += 3_400
    world.fake.delay(0.1, on=_TOKEN)

    assert await one.get_token() == first
    await asyncio.sleep(0.02)
    assert await two.get_token() == first
    await asyncio.sleep(0.2)

    second = await one.get_token()
    world.clock.now += 60
    await two.get_token()
    await _settle()
    assert await two.get_token() == second != first
    assert world.exchanges == 1


async def test_processes_share_one_exchange(world: World) -> None:
    """Eight processes with an expired token send one request, and all get its token."""
    tokens = [(await world.app()).token("anna") for _ in range(8)]
    await world.connected(await world.app())
    world.clock.now += 3_601

    got = await asyncio.gather(*(token.get_token() for token in tokens))

    assert len(set(got)) == 1
    assert world.exchanges == 1


async def test_a_wall_clock_that_jumps(world: World) -> None:
    """It costs an exchange at most: a token in use goes by the process's own clock."""
    app = await world.app()
    token = await world.connected(app)
    first = await token.get_token()
    jumped = copy.copy(world.clock)
    jumped.now -= 3_600
    object.__setattr__(app._renewals.pace, "wall", jumped)

    assert await token.get_token() == first
    token.forget()
    assert await token.get_token() == first
    world.clock.now += 3_601
    assert await token.get_token() != first
    assert world.exchanges == 1


# Refused tokens


async def test_a_refused_token_is_refused_for_all(world: World) -> None:
    """After a 401 one process renews it, and the others read the new one."""
    one, two = [(await world.app()).token("anna") for _ in range(2)]
    await world.connected(await world.app())
    first = await one.get_token()
    assert await two.get_token() == first
    world.fake.expire(first)

    await asyncio.gather(*(world.client(token).users.me() for token in (one, two)))

    assert world.exchanges == 1
    assert await one.get_token() == await two.get_token() != first


async def test_a_newer_token_is_not_renewed(world: World) -> None:
    """Who comes late with an old token gets the stored one."""
    one, two = [(await world.app()).token("anna") for _ in range(2)]
    await world.connected(await world.app())
    first = await one.get_token()
    await two.get_token()
    await one.invalidate(first)
    second = await one.get_token()

    await two.invalidate(first)
    await two.invalidate("of-somebody-else")
    await two.invalidate("ä")

    assert await two.get_token() == second
    assert world.exchanges == 1


class _YieldingStore(MemoryStore):
    """A store that lets others in before it answers, as every real one does."""

    async def get(self, key: str) -> Entry | None:
        entry = await super().get(key)
        await asyncio.sleep(0)
        return entry


@pytest.mark.parametrize("turns", range(8))
async def test_a_token_refused_during_a_renewal_is_not_given_again(
    world: World, turns: int
) -> None:
    """Whatever the renewal, which leaves it to another process, had read by then."""
    world.store = _YieldingStore(_clock=world.clock)
    token = await world.connected(await world.app())
    first = await token.get_token()
    (key,) = [key async for key in world.store.keys("oauth:") if ":grant:" in key]
    lease = Lease(world.store, key, seconds=15, clock=world.clock)
    world.clock.now += 3_500
    await lease.acquire()
    assert await token.get_token() == first  # and a renewal begins in the background
    for _ in range(turns):
        await asyncio.sleep(0)

    await token.invalidate(first)
    await lease.release()

    assert await token.get_token() != first


async def test_two_who_are_refused_at_once(world: World) -> None:
    """The store is told once."""
    world.store = _YieldingStore(_clock=world.clock)
    tokens = [(await world.app()).token("anna") for _ in range(4)]
    await world.connected(await world.app())
    first = await tokens[0].get_token()

    await asyncio.gather(*(token.invalidate(first) for token in tokens))

    assert len({await token.get_token() for token in tokens}) == 1
    assert world.exchanges == 1


async def test_a_token_that_nobody_connected(world: World) -> None:
    """It says so, without asking the server."""
    token = (await world.app()).token("nobody")
    await token.invalidate("any")

    with pytest.raises(SignInRequiredError, match="'nobody' is not connected") as caught:
        await token.get_token()

    assert caught.value.account == "nobody"
    assert world.asked == 0


# The end of a grant


async def test_a_grant_that_was_taken_back(world: World) -> None:
    """Every later call says so without asking the server; the hook is told once."""
    app, other = await world.app(), await world.app()
    token = await world.connected(app)
    world.fake.oauth.revoke()
    world.clock.now += 3_601

    for provider in (token, token, other.token("anna"), (await world.app()).token("anna")):
        with pytest.raises(SignInRequiredError, match="authorize the application again"):
            await provider.get_token()

    assert world.asked == 2
    assert world.hooked == ["anna"]


async def test_a_hook_that_fails(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged once, and changes nothing."""

    def hook(account: str) -> None:
        raise RuntimeError(account)

    app = await world.app(on_sign_in_required=hook)
    tokens = [await world.connected(app, name) for name in ("anna", "ben")]
    world.fake.oauth.revoke()
    world.clock.now += 3_601

    for token in tokens:
        with pytest.raises(SignInRequiredError):
            await token.get_token()

    assert caplog.text.count("on_sign_in_required failed") == 1


async def test_a_hook_that_cancels_the_task_it_runs_in(world: World) -> None:
    """No exchange is ended by it, and all who wait for it are told what is true."""

    def cancel(account: str) -> None:
        world.hooked.append(account)
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    token = await world.connected(await world.app(on_sign_in_required=cancel))
    world.clock.now += 3_601
    world.fake.oauth.revoke()

    for _ in range(2):
        with pytest.raises(SignInRequiredError):
            await token.get_token()
    assert world.hooked == ["anna"]


async def test_an_app_without_a_hook(world: World) -> None:
    """It learns it by the error."""
    token = await world.connected(await world.app(on_sign_in_required=None))
    world.fake.oauth.revoke()
    world.clock.now += 3_601
    with pytest.raises(SignInRequiredError):
        await token.get_token()


async def test_a_grant_without_a_refresh_token(world: World) -> None:
    """Its token is good in all processes as long as it lives; then the creator must come again."""
    world.fake.oauth.changes = {"refresh_token": ...}
    token = await world.connected(await world.app())
    for seconds in (0, 3_590):
        world.clock.now += seconds
        for provider in (token, (await world.app()).token("anna")):
            assert await provider.get_token()
            await _settle()
    assert world.hooked == []
    world.clock.now += 11

    with pytest.raises(SignInRequiredError):
        await token.get_token()

    assert world.asked == 1


# What the server answers


@pytest.mark.parametrize(
    ("expires_in", "life"),
    [
        (..., 3_600),
        (None, 3_600),
        (0, 3_600),
        (-5, 3_600),
        ("soon", 3_600),
        ("nan", 3_600),
        ([], 3_600),
        (600, 600),
        ("600", 600),
        (600.5, 600.5),
        (10**400, 3_600),
        (10**12, 30 * 86_400),
        (True, 1),
    ],
)
async def test_a_life_that_makes_no_sense(world: World, expires_in: object, life: float) -> None:
    """The documented hour stands in for it; what makes sense counts."""
    world.fake.oauth.changes = {"expires_in": expires_in}
    token = await world.connected(await world.app())
    first = await token.get_token()

    world.clock.now += life * 0.85
    assert await token.get_token() == first
    await _settle()
    world.clock.now += life * 0.15
    assert await token.get_token() != first


async def test_a_response_without_a_refresh_token_keeps_the_old_one(world: World) -> None:
    """As RFC 6749, 6 says; and within the grace the old one is taken again."""
    token = await world.connected(await world.app())
    world.fake.oauth.changes = {"refresh_token": ...}
    world.clock.now += 3_601
    await token.get_token()
    world.fake.oauth.changes = {}
    await token.invalidate(await token.get_token())

    assert await token.get_token()
    assert world.exchanges == 2


async def test_a_response_without_an_access_token_is_kept(world: World) -> None:
    """The successor of a refresh token is never thrown away: the next exchange uses it."""
    token = await world.connected(await world.app())
    world.fake.oauth.changes = {"access_token": ...}
    world.fake.oauth.grace = 0.0
    world.clock.now += 3_601
    getting = asyncio.create_task(token.get_token())
    while world.exchanges < 2:  # noqa: ASYNC110 - the server sets no event of ours
        await asyncio.sleep(0.002)
    world.fake.oauth.changes = {}

    assert await getting
    assert world.fake.oauth.counts["refused"] == 0


@pytest.mark.parametrize("changes", [{"access_token": ...}, {"expires_in": 1e-9}], ids=str)
async def test_a_server_that_sends_no_usable_token(world: World, changes: dict[str, Any]) -> None:
    """It is asked a few times, with pauses, and every pair that it sends is kept."""
    token = await world.connected(await world.app())
    world.fake.oauth.changes = changes
    world.clock.now += 3_601
    with pytest.raises(TokenError, match="no token that can be used"):
        await token.get_token()
    assert world.exchanges == 3
    world.fake.oauth.changes = {}

    assert await token.get_token()


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, "<html>"), (503, ""), (200, "<html>"), (200, "[]"), (200, ""), (302, ""), (404, "{}")],
)
async def test_an_endpoint_that_fails_for_a_while(world: World, status: int, body: str) -> None:
    """The exchange is tried again at once, and no sign-in is lost."""
    token = await world.connected(await world.app())
    world.clock.now += 3_601
    world.fake.reply(status, body=body, times=2, on=_TOKEN)

    assert await token.get_token()
    assert world.hooked == []


@pytest.mark.parametrize("after", ["request", "headers"])
@pytest.mark.parametrize("same_pair", [True, False])
async def test_an_exchange_whose_response_is_lost(
    world: World, *, after: Any, same_pair: bool
) -> None:
    """It is repeated with the same refresh token, within the grace."""
    world.fake.oauth.same_pair = same_pair
    token = await world.connected(await world.app())
    world.clock.now += 3_601
    world.fake.drop(after=after, times=2, on=_TOKEN)

    assert await world.client(token).users.me()
    assert world.exchanges == (3 if after == "headers" else 1)
    assert world.hooked == []


async def test_a_network_that_is_gone_for_long(world: World) -> None:
    """Callers are told; the grant waits, and is renewed at the next need."""
    token = await world.connected(await world.app())
    world.clock.now += 3_601
    world.fake.drop(after="request", times=3, on=_TOKEN)
    with pytest.raises(TokenError, match="NoAnswerError"):
        await token.get_token()

    world.clock.now += 31
    assert await token.get_token()
    assert world.hooked == []


async def test_a_response_that_never_came(world: World) -> None:
    """The one known loss: the server used the token up, and beyond its grace says so."""
    token = await world.connected(await world.app())
    world.clock.now += 3_601
    world.fake.drop(after="headers", times=3, on=_TOKEN)
    with pytest.raises(TokenError):
        await token.get_token()
    world.fake.oauth.grace = 0.0
    world.clock.now += 31

    with pytest.raises(SignInRequiredError):
        await token.get_token()

    assert world.fake.oauth.counts["reuse"] == 1
    assert world.hooked == ["anna"]


async def test_an_endpoint_that_asks_to_wait(world: World) -> None:
    """A 429 is not tried again at once."""
    token = await world.connected(await world.app())
    world.clock.now += 3_601
    world.fake.reply(429, headers={"Retry-After": "5"}, on=_TOKEN)
    with pytest.raises(TokenError, match="429") as caught:
        await token.get_token()

    assert caught.value.attempts == 1
    assert await token.get_token()


async def test_an_application_that_is_not_known_any_more(world: World) -> None:
    """A changed secret is told as what it is, and ends no grant."""
    token = await world.connected(await world.app())
    world.fake.oauth.add_client("fake-client", "another", "")
    world.clock.now += 3_601
    with pytest.raises(ConfigurationError, match="invalid_client"):
        await token.get_token()

    world.fake.oauth.add_client("fake-client", "fake-secret", "")
    assert await token.get_token()


# Callers and their ends


@pytest.mark.parametrize("end", ["cancel", "deadline"])
async def test_a_caller_that_gives_up(world: World, end: str) -> None:
    """It ends its own waiting only: the exchange is done and stored, and others get it."""
    token = await world.connected(await world.app())
    first = await token.get_token()
    world.clock.now += 3_601
    world.fake.delay(0.15, on=_TOKEN)
    if end == "cancel":
        hasty = asyncio.create_task(token.get_token())
        await asyncio.sleep(0.05)
        hasty.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hasty
    else:
        with pytest.raises(DeadlineExceededError):
            await world.client(token, timeout=0.05).users.me()

    assert await token.get_token() != first
    assert world.exchanges == 1


async def test_callers_that_give_up_at_any_moment(world: World) -> None:
    """Wherever the cancel comes, the exchange is done once, and everybody else gets its token."""
    token = await world.connected(await world.app())
    for turns in range(40):
        before = world.exchanges
        refused = await token.get_token()
        await token.invalidate(refused)
        hasty = [asyncio.create_task(token.get_token()) for _ in range(3)]
        for _ in range(turns):
            await asyncio.sleep(0)
        for caller in hasty:
            caller.cancel()
        assert await token.get_token() != refused
        assert world.exchanges == before + 1
        await asyncio.wait(hasty)

    assert world.hooked == []


async def test_closing_lets_an_exchange_be_stored(world: World) -> None:
    """An exchange that has left is finished; what has not begun is refused."""
    app = await world.app()
    token = await world.connected(app)
    world.clock.now += 3_601
    world.fake.delay(0.1, on=_TOKEN)
    waiting = asyncio.create_task(token.get_token())
    await asyncio.sleep(0.05)

    await app.aclose()

    renewed = await waiting
    assert await (await world.app()).token("anna").get_token() == renewed
    assert world.exchanges == 1


@pytest.mark.parametrize("cancels", [1, 2, 30])
async def test_closing_that_is_cancelled_lets_an_exchange_be_stored(
    world: World, cancels: int
) -> None:
    """As closing does that is not cancelled; the connections are closed then."""
    app = await world.app()
    token = await world.connected(app)
    world.clock.now += 3_601
    world.fake.delay(0.1, on=_TOKEN)
    waiting = asyncio.create_task(token.get_token())
    while world.asked < 2:  # noqa: ASYNC110 - the server sets no event of ours
        await asyncio.sleep(0.002)

    closing = asyncio.create_task(app.aclose())
    await asyncio.sleep(0)
    for _ in range(cancels):
        closing.cancel()
        await asyncio.sleep(0)

    renewed = await waiting
    await app.aclose()
    assert await (await world.app()).token("anna").get_token() == renewed
    assert world.exchanges == 1


async def test_closing_ends_the_wait_for_another_process(world: World) -> None:
    """It is not the app's own exchange."""
    one, two = await world.app(), await world.app()
    token = await world.connected(one)
    world.clock.now += 3_601
    world.fake.delay(0.2, on=_TOKEN)
    first = asyncio.create_task(token.get_token())
    await asyncio.sleep(0.05)
    second = asyncio.create_task(two.token("anna").get_token())
    await asyncio.sleep(0.02)

    await two.aclose()

    with pytest.raises(ClientStateError, match="closed"):
        await second
    assert await first


async def test_closing_is_bounded() -> None:
    """What does not end in time is cancelled, and its callers are told."""
    tasks = Tasks()
    task = tasks.start(asyncio.Event().wait)
    await tasks.finish(0.01)

    assert isinstance(await task, ClientStateError)


async def test_an_exchange_that_something_else_cancels() -> None:
    """A tracer or a filter that runs in it, say: its callers are not told that it was closed."""
    task = Tasks().start(asyncio.Event().wait)
    await asyncio.sleep(0)
    task.cancel()

    outcome = await task
    assert isinstance(outcome, TokenError)
    assert outcome.transient


async def test_eager_tasks(world: World) -> None:
    """A renewal that ends before anybody waits for it leaves nothing behind."""
    token = (await world.app()).token("nobody")
    loop = asyncio.get_running_loop()
    if factory := getattr(asyncio, "eager_task_factory", None):
        loop.set_task_factory(factory)
    try:
        for _ in range(2):
            with pytest.raises(SignInRequiredError):
                await token.get_token()
        await world.connected(await world.app(), "nobody")
        assert await token.get_token()
    finally:
        loop.set_task_factory(None)


# The store


class _Store(MemoryStore):
    """A store that fails when it is told to, before or after it has acted."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.puts = 0
        self.failing: dict[int, str] = {}

    async def put(
        self,
        key: str,
        value: bytes,
        *,
        version: str | Condition = ANY,
        expires_in: float | None = None,
    ) -> str | None:
        self.puts += 1
        failure = self.failing.pop(self.puts, "")
        if failure == "before":
            raise StoreError("the store failed")
        written = await super().put(key, value, version=version, expires_in=expires_in)
        if failure == "after":
            raise StoreError("the store failed")
        return written


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_store_that_fails_when_the_pair_is_stored(world: World, when: str) -> None:
    """Storing is tried again; nobody uses a pair that is not stored."""
    world.store = store = _Store(_clock=world.clock)
    token = await world.connected(await world.app())
    world.clock.now += 3_601
    store.failing = {store.puts + 3: when, store.puts + 4: "before"}

    renewed = await token.get_token()

    assert await (await world.app()).token("anna").get_token() == renewed
    assert world.exchanges == 1


async def test_a_store_that_fails_for_long(world: World) -> None:
    """Callers are told, and the pair is stored at the next need: it is not exchanged again."""
    world.store = store = _Store(_clock=world.clock)
    token = await world.connected(await world.app())
    world.clock.now += 3_601
    store.failing = {store.puts + number: "before" for number in range(3, 1_000)}
    with pytest.raises(StoreError):
        await token.get_token()
    store.failing.clear()

    assert await token.get_token()
    assert world.exchanges == 1


async def test_a_pair_that_comes_too_late(world: World) -> None:
    """Who was paused beyond its lease uses what another has stored meanwhile."""
    one, two = await world.app(), await world.app()
    token = await world.connected(one)
    world.clock.now += 3_601
    world.fake.delay(0.15, on=_TOKEN)
    paused = asyncio.create_task(token.get_token())
    await asyncio.sleep(0.05)
    world.clock.now += 20

    stored = await two.token("anna").get_token()

    assert await paused == stored
    assert world.exchanges == 2
    assert world.fake.oauth.counts["reuse"] == 0


async def test_an_answer_of_no_that_another_process_has_overtaken(world: World) -> None:
    """invalid_grant counts only if the store still holds what was sent."""
    one, two = await world.app(), await world.app()
    token = await world.connected(one)
    world.clock.now += 3_601
    world.fake.delay(0.15, on=_TOKEN)
    world.fake.reply(400, json={"error": "invalid_grant"}, on=_TOKEN)
    paused = asyncio.create_task(token.get_token())
    await asyncio.sleep(0.05)
    world.clock.now += 20
    stored = await two.token("anna").get_token()

    assert await paused == stored
    assert world.hooked == []


class _Overtaking(MemoryStore):
    """Another process writes the grant between our look at it and our note of its first use."""

    async def get(self, key: str) -> Entry | None:
        entry = await super().get(key)
        if self.overtakes and ":grant:" in key and entry is not None:
            self.looks += 1
            if self.looks == 2:
                await super().put(key, entry.value)
        return entry

    overtakes = False
    looks = 0


async def test_a_grant_that_changes_under_the_lease(world: World) -> None:
    """It is looked at again before anything is sent."""
    world.store = store = _Overtaking(_clock=world.clock)
    token = await world.connected(await world.app())
    world.clock.now += 3_601
    store.overtakes = True

    assert await token.get_token()
    assert world.exchanges == 1


class _OvertakenStore(MemoryStore):
    """Another process renews while we are about to take the lease."""

    other: AccountToken | None = None

    async def put(
        self,
        key: str,
        value: bytes,
        *,
        version: str | Condition = ANY,
        expires_in: float | None = None,
    ) -> str | None:
        if key.startswith(LEASE) and self.other is not None:
            other, self.other = self.other, None
            await other.get_token()
        return await super().put(key, value, version=version, expires_in=expires_in)


async def test_a_grant_that_was_renewed_before_the_lease_was_taken(world: World) -> None:
    """It is looked at again under the lease."""
    world.store = store = _OvertakenStore(_clock=world.clock)
    token = await world.connected(await world.app())
    world.clock.now += 3_601
    store.other = (await world.app()).token("anna")

    assert await token.get_token()
    assert world.exchanges == 1


class _SlowStore(_Store):
    """A store whose every put takes seconds, once it is slow."""

    slow = 0

    async def put(
        self,
        key: str,
        value: bytes,
        *,
        version: str | Condition = ANY,
        expires_in: float | None = None,
    ) -> str | None:
        written = await super().put(key, value, version=version, expires_in=expires_in)
        if self.slow:
            self.slow -= 1
            self._clock.now += 7  # type: ignore[attr-defined] # a fake clock
        return written


async def test_a_store_so_slow_that_the_lease_runs_out(world: World) -> None:
    """Nothing is sent that a crash would leave without time for a second try."""
    world.store = store = _SlowStore(_clock=world.clock)
    token = await world.connected(await world.app())
    world.clock.now += 3_601
    store.slow = 1

    assert await token.get_token()
    assert world.exchanges == 1


async def test_an_entry_of_somebody_else(world: World) -> None:
    """What is no grant is a StoreError, and stays."""
    app = await world.app()
    await world.store.put(app._keys.grant("anna"), b"theirs")
    for call in (app.token("anna").get_token(), app.token("anna").invalidate("x")):
        with pytest.raises(StoreError, match="did not write"):
            await call


# Secrets


async def test_nothing_secret_is_shown(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """No token in any log, error, repr or pickle, whatever fails."""
    caplog.set_level(logging.DEBUG)
    app = await world.app()
    token: AccountToken = await world.connected(app)
    provider: TokenProvider = token
    secrets = [await provider.get_token(), "fake_rt_", "fake-secret", "fake_at_"]
    shown = [repr(token), repr(app), repr(token._held), repr(app._endpoint._headers)]
    shown.append(repr(Hidden(b"fake-secret")))
    caught: list[FanvueError] = []
    for status, body in ((500, ""), (400, '{"error": "invalid_grant"}')):
        world.clock.now += 3_601
        world.fake.reply(status, body=body, times=3, on=_TOKEN)
        with contextlib.suppress(FanvueError):
            await token.get_token()
        try:
            await token.get_token()
        except FanvueError as error:
            caught.append(error)
    for copying in (copy.copy, pickle.dumps):
        with pytest.raises(TypeError):
            copying(token)

    assert len(caught) == 1
    shown += [shown_by(error) for error in caught]
    records = [f"{record.getMessage()} {record.args}" for record in caplog.records]
    for secret in secrets:
        assert secret not in " ".join(shown + records)


def test_a_hook_may_end_the_program() -> None:
    """What ends a program is no bug of the hook's, and passes."""

    def hook(_account: str) -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        Hook(hook).call("anna")
