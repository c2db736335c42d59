"""The file of user code, which the type checkers read, leaves no method out."""

from __future__ import annotations

import ast
from pathlib import Path

from fanvue_async.operations import operations

_USER_CODE = Path(__file__).with_name("user_code.py")


def test_every_method_is_called() -> None:
    """Each coroutine and each listing of the table of operations stands in the user's program."""
    tree = ast.parse(_USER_CODE.read_text(encoding="utf-8"))
    calls = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    called = {call.removeprefix("client.") for call in calls}

    own = {row.coroutine for row in operations()}
    missing = {name for name in own if not name.startswith("creator.") and name not in called}

    assert missing == set()
