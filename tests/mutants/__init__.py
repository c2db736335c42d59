"""Mutants: the package with one line broken, which some test must notice.

They stand in ``security.diff`` and ``values.diff``: ``@`` names a file, ``#`` what the line is
there for, ``-`` the line without its indentation, which must be in the file exactly once, and each
``+`` what stands there instead.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).resolve().parents[1]
KINDS = ("security", "values")
PYTEST = (
    *("-m", "pytest", "-q", "-x", "--tb=no", "-rfE"),
    *("-p", "no:randomly", "-p", "no:cacheprovider"),
)

_OF_ALL = ("test_security.py", "test_client.py", "engine/test_call.py")
_TESTS = {
    "client.py": ("test_public_api.py", "engine/test_credentials.py"),
    "credentials.py": ("bugs/test_accounts.py",),
    "errors.py": ("test_public_api.py", "test_errors.py"),
    "config.py": ("test_public_api.py", "test_config.py"),
    "api_errors.py": ("engine/test_response_headers.py", "faults/test_table.py"),
    "pyproject.toml": ("test_public_api.py",),
    "bodies.py": ("faults/test_table.py",),
    "exchange.py": ("engine/test_exchange.py", "faults/test_table.py"),
    "failures.py": ("engine/test_exchange.py", "faults/test_table.py"),
    "notices.py": ("engine/test_pool.py",),
    "pool.py": ("faults/test_lifecycle.py", "faults/test_table.py"),
    "origin.py": ("test_config.py", "test_proxy.py", "test_tls.py", "faults/test_table.py"),
    "transport.py": ("engine/test_exchange.py", "engine/test_pool.py"),
}
"""Where a file's promises are tested, besides in the test file of its name."""


class Mutant(NamedTuple):
    """One line of a file, and what stands there instead."""

    rule: str
    """What the line is there for."""
    file: str
    """Below the top of the repository."""
    old: str
    """The line without its indentation; it must be there exactly once."""
    new: str

    @property
    def tests(self) -> tuple[str, ...]:
        """Files below ``tests/``, in one of which a test must fail."""
        name = Path(self.file).name
        own = f"engine/test_{name}"
        mirrored = (own,) if (TESTS / own).exists() else ()
        return tuple(dict.fromkeys((*mirrored, *_TESTS.get(name, ()), *_OF_ALL)))

    def applied_to(self, text: str) -> str:
        """Return the text of the file with the line broken.

        Raises:
            LookupError: the line is not there exactly once.

        """
        line = re.compile(rf"^( *){re.escape(self.old)}$", re.MULTILINE)
        if (count := len(line.findall(text))) != 1:
            raise LookupError(f"{count} lines like it")
        return line.sub(lambda found: f"{found[1]}{self.new}", text)


def mutants(kind: str) -> list[Mutant]:
    """Read the mutants of a kind."""
    found: list[Mutant] = []
    file = rule = old = ""
    for line in (TESTS / "mutants" / f"{kind}.diff").read_text(encoding="utf-8").splitlines():
        mark, _, text = line.partition(" ")
        match mark:
            case "@":
                file = text
            case "#":
                rule = text
            case "-":
                old = text
            case "+":
                found.append(Mutant(rule, file, old, text))
            case _:
                pass  # words about the table
    return found
