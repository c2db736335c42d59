"""The start page, followed to the letter by somebody in an empty folder."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.users import USER

from fanvue_async.testing import FakeFanvue

if TYPE_CHECKING:
    from collections.abc import Iterator

_PAGE = Path(__file__).parents[2] / "docs" / "start.md"
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"`(\w+\.\w+)`:\n\n\Z")
_PORT = "8080"


@pytest.fixture
def blocks() -> dict[str, list[str]]:
    """Read the page's blocks by language."""
    found: dict[str, list[str]] = {}
    for block in _FENCE.finditer(_PAGE.read_text(encoding="utf-8")):
        found.setdefault(block[1], []).append(block[2])
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Save the page's files where it says."""
    text = _PAGE.read_text(encoding="utf-8")
    for block in _FENCE.finditer(text):
        if block[1] in {"python", "ini"}:
            name = _FILE.search(text, 0, block.start())
            assert name is not None, f"which file is this?\n{block[2]}"
            (tmp_path / name[1]).write_text(block[2], encoding="utf-8")
    return tmp_path


@pytest.fixture
def server() -> Iterator[tuple[str, str]]:
    """Run the page's fake server, but on a free port; give what it prints, and the port."""
    command = [sys.executable, "-m", "fanvue_async.testing", "--port", "0"]
    with subprocess.Popen(  # noqa: S603 - our own command
        command, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = process.stdout.readline() + process.stdout.readline()
        try:
            yield said, said.splitlines()[0].rpartition(":")[2]
        finally:
            process.terminate()


def test_the_bot_runs(folder: Path, blocks: dict[str, list[str]], server: tuple[str, str]) -> None:
    """The bot and the server print what the page says they print."""
    said, port = server
    bot = folder / "bot.py"
    bot.write_text(bot.read_text(encoding="utf-8").replace(_PORT, port), encoding="utf-8")

    finished = _run(folder, "bot.py")

    printed = [text.replace(_PORT, port) for text in blocks["output"]]
    assert [said, finished.stdout] == printed[:2]
    # Development mode tells of turns of the loop that a busy machine took its time over.
    assert [line for line in finished.stderr.splitlines() if "Executing <" not in line] == []


async def test_the_bot_without_a_server(folder: Path, blocks: dict[str, list[str]]) -> None:
    """With the server gone, the bot ends in the sentence that the page shows."""
    open_chat = runpy.run_path(str(folder / "bot.py"))["open_chat"]
    async with FakeFanvue() as fake:
        client, port = fake.client(), fake.url.rpartition(":")[2]  # its retries take no time

    async with client:
        said = await open_chat(client, USER)

    assert said + "\n" == blocks["output"][2].replace(_PORT, port)


def test_the_tests_pass(folder: Path) -> None:
    """The tests of the reader's own bot pass, and nothing is complained about."""
    finished = _run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider")

    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "3 passed" in finished.stdout
    assert (finished.stderr, "warning" in finished.stdout) == ("", False)


# In development mode, asyncio complains of a machine that is slow.
_UNWANTED = {"PYTHONPATH", "PYTHONDEVMODE"}


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - the files of our own page
        [sys.executable, *arguments],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name not in _UNWANTED},
        capture_output=True,
        text=True,
        timeout=25,
        check=False,
    )
