"""Mutants: the package with one line broken, which some test must notice."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).resolve().parents[1]


class Mutant(NamedTuple):
    """One line of a file, and what stands there instead."""

    rule: str
    """What the line is there for."""
    file: str
    """Below the top of the repository."""
    old: str
    """The line without its indentation; it must be there exactly once."""
    new: str
    tests: tuple[str, ...]
    """Tests below ``tests/``, each of which must fail."""

    def applied_to(self, text: str) -> str:
        """Return the text of the file with the line broken.

        Raises:
            LookupError: the line is not there exactly once.

        """
        line = re.compile(rf"^( *){re.escape(self.old)}$", re.MULTILINE)
        if (count := len(line.findall(text))) != 1:
            raise LookupError(f"{count} lines like it")
        return line.sub(lambda found: f"{found[1]}{self.new}", text)
