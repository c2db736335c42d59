"""Every Python block of the documentation runs, against a fake server and over real sockets."""

from __future__ import annotations

import ast
import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any, cast
from unittest import SkipTest

import pytest
from support.users import USER

from fanvue_async import FanvueClient
from fanvue_async.oauth import OAuthApp
from fanvue_async.testing import FakeFanvue

pytest.importorskip("sybil", reason="what requirements-docs.txt lists is not installed")

from markdown_it import MarkdownIt
from sybil import Document
from sybil.parsers.myst import CodeBlockParser, SkipParser

if TYPE_CHECKING:
    from collections.abc import Callable

    from sybil import Example

_ROOT = Path(__file__).parents[2]
_START = _ROOT / "docs" / "start.md"  # its blocks are the files of one program: test_start.py
_PAGES = [_ROOT / "README.md", *sorted((_ROOT / "docs").rglob("*.md"))]
_PYTHON = re.compile(r"(\{code[\w-]*\} *)?py")
_PYTEST_INI = """\
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
filterwarnings = error
"""
_TOKENS = ("access-token", "token-of-anna", "token-of-ben")


def _name(page: Path) -> str:
    return str(page.relative_to(_ROOT))


@pytest.mark.parametrize("page", [page for page in _PAGES if page != _START], ids=_name)
async def test_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a reader copies from a page works, in the order of the page."""
    async with FakeFanvue(tokens=_TOKENS) as fake:
        monkeypatch.setenv("FANVUE_ACCESS_TOKEN", fake.token)
        monkeypatch.chdir(tmp_path)  # where a block may leave its files
        # No block reaches the real API: a client without a base URL talks to the fake.
        defaults = FanvueClient.__init__.__kwdefaults__
        assert defaults is not None
        monkeypatch.setitem(defaults, "base_url", fake.url)
        for name in ("auth_url", "base_url"):
            monkeypatch.setitem(cast("Any", OAuthApp.__init__.__kwdefaults__), name, fake.url)
        # On another thread, since a block may be a program with an asyncio.run() of its own.
        await asyncio.to_thread(_run_page, page, fake, tmp_path)


@pytest.mark.parametrize("page", _PAGES, ids=_name)
def test_no_block_is_overlooked(page: Path) -> None:
    """What looks like a Python block to a reader is one to these tests."""
    fences = [
        token.map[0] + 1
        for token in MarkdownIt().parse(page.read_text(encoding="utf-8"))
        if token.type == "fence" and token.map is not None and _PYTHON.match(token.info)
    ]

    seen = [example.line for example in _parse(page, lambda _: None) if _is_visible_block(example)]

    assert seen == fences


@pytest.mark.parametrize("page", _PAGES, ids=_name)
def test_every_skipped_block_says_why(page: Path) -> None:
    """A block that cannot run has its reason beside it."""
    for example in _parse(page, lambda _: None):
        parsed = cast("str | tuple[str, str | None]", example.parsed)
        if isinstance(parsed, tuple):
            action, reason = parsed
            assert action == "next", f"{page.name}:{example.line}: skip one block at a time"
            assert reason, f"{page.name}:{example.line}: why?"


def _parse(page: Path, evaluate: Callable[[Example], None]) -> Document:
    return Document.parse(str(page), CodeBlockParser("python", evaluate), SkipParser())


def _is_visible_block(example: Example) -> bool:
    lexemes = example.region.lexemes or {}
    return "source" in lexemes and lexemes.get("directive") != "invisible-code-block"


def _run_page(page: Path, fake: FakeFanvue, directory: Path) -> None:
    """Run the blocks of a page in one namespace; then its tests, with pytest."""
    client = fake.client()
    namespace: dict[str, Any] = {
        "__name__": "__main__",
        "fake": fake,
        "fanvue": client,
        "user_uuid": USER,
    }
    tests: list[Example] = []
    with asyncio.Runner() as runner:

        def run_block(example: Example) -> None:
            if _defines_tests(example.parsed):
                tests.append(example)
                return
            outcome = FunctionType(_compile(example), namespace)()
            if asyncio.iscoroutine(outcome):
                runner.run(outcome)

        try:
            for example in _parse(page, run_block):
                _evaluate(example)
        finally:
            clients = [value for value in namespace.values() if isinstance(value, FanvueClient)]
            for made in (client, *clients):
                runner.run(made.aclose())
    if tests:
        _run_tests(tests, directory)


def _compile(example: Example) -> Any:
    """Compile a block that may ``await`` as if it stood in a coroutine, with the page's lines."""
    lines_above = example.line + example.parsed.line_offset
    return compile(
        "\n" * lines_above + example.parsed,
        example.path,
        "exec",
        flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
        dont_inherit=True,
    )


def _evaluate(example: Example) -> None:
    try:
        example.evaluate()
    except SkipTest:
        pass  # it says why: test_every_skipped_block_says_why
    except Exception as error:  # of any block; it goes on with the place
        error.add_note(f"in the block at {Path(example.path).name}:{example.line}")
        raise


def _defines_tests(source: str) -> bool:
    return any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
        for node in ast.parse(source).body
    )


def _run_tests(blocks: list[Example], directory: Path) -> None:
    """Run the blocks that define tests as a reader would: each a file, with the plugin loaded."""
    for block in blocks:
        (directory / f"test_line_{block.line}.py").write_text(block.parsed, encoding="utf-8")
    (directory / "conftest.py").write_text('pytest_plugins = ["fanvue_async.pytest_plugin"]\n')
    (directory / "pytest.ini").write_text(_PYTEST_INI)
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly"],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        timeout=25,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
