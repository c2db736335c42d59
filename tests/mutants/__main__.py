"""Try every mutant: does a test notice?

A copy of the repository is broken in one line at a time; one of the tests that the line belongs to
must fail, which they must not do before. What survives, or no longer applies, fails the run.
"""

# ruff: noqa: T201 - it talks to a person

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from mutants import KINDS, PYTEST, TESTS, Mutant, mutants, survivors

_PATIENCE = 300  # seconds for the tests of one mutant; each test has its own limit
_TOP = TESTS.parent
_COPIED = ("fanvue_async", "tests", "docs", "pyproject.toml", "README.md", "CHANGELOG.md")


def main() -> None:
    """Try the mutants that were asked for, and tell."""
    parser = argparse.ArgumentParser(prog="run.py", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="security|values|generated", default=[])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", default="", help="a part of the rules, lines or functions to try")
    arguments = parser.parse_args()
    kinds = arguments.kinds or [*KINDS, "generated"]
    if unknown := {*kinds} - {*KINDS, "generated"}:
        parser.error(f"no such kind: {', '.join(sorted(unknown))}")
    started, bad = time.monotonic(), 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as work:
        trees = [_tree(Path(work) / str(number)) for number in range(arguments.processes)]
        for kind in kinds:
            print(f"{kind}:", flush=True)
            if kind == "generated":
                environment = _environment(trees[0])
                bad += survivors.run(trees[0], environment, arguments.processes, arguments.only)
            else:
                chosen = [m for m in mutants(kind) if arguments.only in f"{m.rule}\n{m.old}"]
                bad += _try_all(chosen, trees)
    print(f"{bad} bad, in {time.monotonic() - started:.0f} s")
    sys.exit(bad > 0)


def _tree(path: Path) -> Path:
    """Copy what the tests need of the repository."""
    path.mkdir()
    skipped = shutil.ignore_patterns("__pycache__", "_build")
    for name in _COPIED:
        source = _TOP / name
        if source.is_dir():
            shutil.copytree(source, path / name, ignore=skipped)
        else:
            shutil.copy(source, path)
    return path


def _environment(tree: Path) -> dict[str, str]:
    """Make the copy's package the one that is imported; development mode as in ``make test``."""
    return os.environ | {
        "PYTHONPATH": str(tree),
        "PYTHONDEVMODE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",  # a mutant may have the size and second of its original
    }


def _try_all(mutants: list[Mutant], trees: list[Path]) -> int:
    """Try the mutants of a table, print it, and count what is not as it should be."""
    named = sorted({test for mutant in mutants for test in mutant.tests})
    if not named:
        print("none of that name")
        return 0
    named.append("mutants/check_tables.py")
    if failed := _failing(named, trees[0]):
        print("Without any mutant these fail already:", *failed, sep="\n  ")
        return len(failed)
    free: SimpleQueue[Path] = SimpleQueue()
    for tree in trees:
        free.put(tree)

    def judge(mutant: Mutant) -> str:
        tree = free.get()
        try:
            return _judge(mutant, tree)
        finally:
            free.put(tree)

    bad = 0
    with ThreadPoolExecutor(len(trees)) as pool:
        for mutant, verdict in zip(mutants, pool.map(judge, mutants), strict=True):
            bad += verdict != "killed"
            print(f"{verdict:<10} {mutant.rule}  [{mutant.file}: {mutant.new}]", flush=True)
    print(f"{len(mutants)} mutants, {len(mutants) - bad} killed", flush=True)
    return bad


def _judge(mutant: Mutant, tree: Path) -> str:
    """Break the line, run its tests, mend it."""
    file = tree / mutant.file
    whole = file.read_text()
    try:
        broken = mutant.applied_to(whole)
    except LookupError as error:
        return f"STALE, {error}"
    file.write_text(broken)
    try:
        failed = _failing(mutant.tests, tree)
    except RuntimeError as error:
        return f"BROKEN {error}"
    except subprocess.TimeoutExpired:
        return "killed"  # whoever runs the tests would notice
    finally:
        file.write_text(whole)
    return "killed" if failed else "SURVIVED"


def _failing(tests: tuple[str, ...] | list[str], tree: Path) -> list[str]:
    """Run tests, and return which fail.

    Raises:
        RuntimeError: they could not be run.

    """
    done = subprocess.run(  # noqa: S603 - the repository's own tests
        [sys.executable, *PYTEST, *(f"tests/{test}" for test in tests)],
        cwd=tree,
        env=_environment(tree),
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    if done.returncode not in {0, 1}:  # neither passed nor failed: not collected, say
        raise RuntimeError(done.stdout[-2_000:] + done.stderr[-2_000:])
    return re.findall(r"^(?:FAILED|ERROR) tests/(.+?)(?: - .*)?$", done.stdout, re.MULTILINE)


main()
