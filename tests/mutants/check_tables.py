"""The mutants belong to the package as it is; whether tests notice them is for ``run.py``."""

from __future__ import annotations

from pathlib import Path

import pytest

import fanvue_async
from mutants import KINDS, TESTS, Mutant, mutants

_PACKAGE = Path(fanvue_async.__file__).parent  # which may be an installed one
_ROWS_OF_THE_SECURITY_TABLE = range(1, 17)


@pytest.mark.parametrize(
    "mutant", [each for kind in KINDS for each in mutants(kind)], ids=lambda mutant: mutant.rule
)
def test_a_mutant_applies(mutant: Mutant) -> None:
    """Who changes a line that a rule stands on takes the rule's mutant along."""
    folder, _, name = mutant.file.partition("/")
    whole = (_PACKAGE / name if name else TESTS.parent / folder).read_text()

    broken = mutant.applied_to(whole)

    assert broken != whole
    if name.endswith(".py"):
        compile(broken, name, "exec")


def test_every_security_rule_has_a_mutant() -> None:
    """A rule without one could be dropped, and nobody would notice."""
    assert {int(mutant.rule.split()[0]) for mutant in mutants("security")} == {
        *_ROWS_OF_THE_SECURITY_TABLE
    }
