"""The pytest plugin for users: in this suite, and in each kind of suite that they have."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.users import USER, user

from fanvue_async import ClientStateError, FanvueClient, NotSentError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fanvue_async.testing import FakeFanvue

pytest_plugins = ["fanvue_async.pytest_plugin", "pytester"]

EXAMPLE = Path(__file__).parents[1] / "docs" / "examples" / "test_greeter.py"
CONFTEST = """
import pytest

pytest_plugins = ["fanvue_async.pytest_plugin"]

@pytest.fixture
def anyio_backend():
    return "asyncio"
"""
PYTEST_ASYNCIO = "asyncio_default_fixture_loop_scope = function\nasyncio_mode = "
WITHOUT_A_FRAMEWORK = f"""
import asyncio
import pytest

@pytest.mark.parametrize("again", [1, 2])
def test_a_call(fake_fanvue, fanvue_client, again):
    asyncio.run(fanvue_client.chats.create("{USER}"))
    assert fake_fanvue.chats == ["{USER}"]

def test_never_used(fanvue_client):
    assert fanvue_client.rate_limit is None
"""


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Make a suite of a user, who chooses the plugins; development mode tells what stays open."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONDEVMODE", "1")
    pytester.makeconftest(CONFTEST)
    return pytester


@pytest.mark.parametrize(
    ("framework", "settings", "mark"),
    [
        ("asyncio", PYTEST_ASYNCIO + "strict", "pytest.mark.asyncio"),
        ("asyncio", PYTEST_ASYNCIO + "strict", "pytest.mark.asyncio(loop_scope='module')"),
        ("asyncio", PYTEST_ASYNCIO + "auto", "[]"),
        ("anyio", "", "pytest.mark.anyio"),
    ],
    ids=["strict", "one loop for all", "auto", "anyio"],
)
def test_the_example_passes_under_each_framework(
    suite: pytest.Pytester, framework: str, settings: str, mark: str
) -> None:
    """The documented file works wherever its tests' loops come from, and closes every client."""
    example = EXAMPLE.read_text()
    assert example.count("pytest.mark.asyncio") == 1
    suite.makepyfile(test_greeter=example.replace("pytest.mark.asyncio", mark))
    suite.makeini(f"[pytest]\n{settings}")

    result = suite.runpytest_subprocess("-p", framework, "--strict-markers", "-W", "error")

    result.assert_outcomes(passed=6)


def test_tests_without_a_framework(suite: pytest.Pytester) -> None:
    """A test that is not async runs its loop itself, once, and need not close the client."""
    suite.makepyfile(WITHOUT_A_FRAMEWORK)

    result = suite.runpytest_subprocess("--strict-markers", "-W", "error")

    result.assert_outcomes(passed=3)


async def test_the_fixtures_belong_together(
    fake_fanvue: FakeFanvue, fanvue_client: FanvueClient
) -> None:
    """The client calls the fake, and its waits for a retry take no time."""
    fake_fanvue.reply(503, headers={"Retry-After": "20"})
    fake_fanvue.drop("request")

    await fanvue_client.chats.create(USER)

    assert fake_fanvue.chats == [USER]
    assert len(fake_fanvue.requests) == 3


async def test_scripting_from_the_tests_thread_is_safe(
    fake_fanvue: FakeFanvue, fanvue_client: FanvueClient
) -> None:
    """What is scripted while the fake serves others is answered, and each once."""

    async def call(number: int) -> int:
        fake_fanvue.delay(0.001)
        fake_fanvue.reply(200, json=number)
        answer: int = (await fanvue_client.request("GET", "/")).json()
        return answer

    answers = await asyncio.gather(*(call(number) for number in range(500)))

    assert sorted(answers) == list(range(500))
    assert len(fake_fanvue.requests) == 500


def test_a_test_without_a_loop_has_webhooks(fake_fanvue: FakeFanvue) -> None:
    """Deliveries run in the fake's own loop; any other may wait for them, or give them up."""
    fake_fanvue.webhooks.add(f"{fake_fanvue.url}/hook")
    fake_fanvue.reply(200)
    fake_fanvue.chats.receive(USER, "hi")
    asyncio.run(fake_fanvue.webhooks.settled())
    assert [delivered.status for delivered in fake_fanvue.webhooks.log] == [200]
    fake_fanvue.delay(60)
    fake_fanvue.chats.receive(USER, "hi")
    asyncio.run(fake_fanvue.webhooks.aclose())
    assert len(fake_fanvue.webhooks.log) == 1


@pytest.fixture
def debug(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let loops complain of calls from other threads."""
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")


@pytest.mark.usefixtures("debug")
async def test_connections_are_refused_from_the_tests_thread(
    fake_fanvue: FakeFanvue, fanvue_client: FanvueClient
) -> None:
    """Those that are open are closed by the thread that serves them."""
    await asyncio.gather(*(fanvue_client.users.me() for _ in range(20)))
    fake_fanvue.refuse(3)
    with pytest.raises(NotSentError):
        await fanvue_client.users.me()


def test_the_end_of_the_loop_closes_the_client(
    fake_fanvue: FakeFanvue, fanvue_client: FanvueClient
) -> None:
    """What asyncio.run() ends takes the client along; it is not usable in another loop anyway."""
    asyncio.run(fanvue_client.chats.create(user(1)))

    with pytest.raises(ClientStateError, match="closed"):
        asyncio.run(fanvue_client.chats.create(user(2)))
    assert fake_fanvue.chats == [user(1)]


@pytest.fixture
def lasting() -> Iterator[tuple[asyncio.AbstractEventLoop, list[FanvueClient]]]:
    """Make a loop that outlives the client which the test hands over."""
    loop, clients = asyncio.new_event_loop(), list[FanvueClient]()
    yield loop, clients
    for client in clients:
        with pytest.raises(ClientStateError, match="closed"):
            loop.run_until_complete(client.chats.create(USER))
    loop.close()


def test_a_loop_that_goes_on_is_used_to_close_the_client(
    lasting: tuple[asyncio.AbstractEventLoop, list[FanvueClient]], fanvue_client: FanvueClient
) -> None:
    """A loop of a whole module or session does not keep the clients of its tests open."""
    loop, clients = lasting
    clients.append(fanvue_client)

    loop.run_until_complete(fanvue_client.chats.create(USER))


def test_importing_the_package_imports_no_pytest() -> None:
    """The plugin is for those who ask for it; the package runs without pytest."""
    code = "import sys, fanvue_async.testing; sys.exit('pytest' in sys.modules)"

    ended = subprocess.run([sys.executable, "-c", code], check=False)  # noqa: S603 - our own code
    assert ended.returncode == 0
