"""The mutants belong to the package as it is; whether tests notice them is for ``run.py``."""

from __future__ import annotations

from pathlib import Path

import pytest

import fanvue_async
from mutants import TESTS, Mutant
from mutants.security import MUTANTS as SECURITY
from mutants.values import MUTANTS as VALUES

_PACKAGE = Path(fanvue_async.__file__).parent  # which may be an installed one
_ROWS_OF_THE_SECURITY_TABLE = range(1, 17)


@pytest.mark.parametrize("mutant", SECURITY + VALUES, ids=lambda mutant: mutant.rule)
def test_a_mutant_applies(mutant: Mutant) -> None:
    """Who changes a line that a rule stands on takes the rule's mutant along."""
    folder, _, name = mutant.file.rpartition("/")
    whole = ((_PACKAGE if folder else TESTS.parent) / name).read_text()

    broken = mutant.applied_to(whole)

    assert broken != whole
    if name.endswith(".py"):
        compile(broken, name, "exec")


@pytest.mark.parametrize("mutant", SECURITY + VALUES, ids=lambda mutant: mutant.rule)
def test_a_mutants_tests_exist(mutant: Mutant) -> None:
    """Who renames a test takes along what counts on it."""
    assert mutant.tests
    for test in mutant.tests:
        file, _, name = test.partition("::")
        assert (f"def {name}(" if name else "def test_") in (TESTS / file).read_text()


def test_every_security_rule_has_a_mutant() -> None:
    """A rule without one could be dropped, and nobody would notice."""
    assert {int(mutant.rule.split()[0]) for mutant in SECURITY} == {*_ROWS_OF_THE_SECURITY_TABLE}
