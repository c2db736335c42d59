"""Mutants that mutmut generates: which survive, and is each of them known to change nothing?"""

# ruff: noqa: T201 - it talks to a person

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from mutants import PYTEST
from mutants.equivalent import EQUIVALENT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_MUTMUT = ("-m", "mutmut")
_OTHER_TESTS = ("tests/resources/test_chats.py", "tests/engine/test_credentials.py")
_CAST = re.compile(r"cast\((?:None|\"[^\"]*\"),")


def run(tree: Path, environment: Mapping[str, str], processes: int, only: str) -> int:
    """Run mutmut in ``tree`` and count the survivors that nobody has explained."""
    chosen = [f"*{only}*"] if only else []
    shutil.copy(tree / "tests/mutants/mutmut.cfg", tree / "setup.cfg")
    log = tree / "mutmut.log"
    with log.open("w") as output:
        done = subprocess.run(  # noqa: S603 - a development dependency
            [sys.executable, *_MUTMUT, "run", "--max-children", str(processes), *chosen],
            cwd=tree,
            # Not PYTHONPATH: mutmut has its own copy of the package imported.
            env={key: value for key, value in environment.items() if key != "PYTHONPATH"},
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        print("mutmut failed:", log.read_text()[-3_000:])
        return 1
    verdicts = {name: told for name, told in _verdicts(tree).items() if only in name}
    print(f"mutmut: {len(verdicts)} mutants", end=", ")
    left = [name for name, verdict in verdicts.items() if verdict not in {"killed", "timeout"}]
    unexplained = [name for name in left if not _is_equivalent(_change(name, tree))]
    with ThreadPoolExecutor(processes) as pool:
        alive = pool.map(partial(_is_alive, tree=tree, environment=environment), unexplained)
        unknown = [name for name, is_alive in zip(unexplained, alive, strict=True) if is_alive]
    print(f"{len(left) - len(unexplained)} change nothing, {len(unknown)} survived")
    for name in unknown:
        print(f"SURVIVED   {name}", *(f"  {line}" for line in _change(name, tree)), sep="\n")
    return len(unknown)


def _verdicts(tree: Path) -> dict[str, str]:
    """Ask mutmut what became of each mutant."""
    told = _mutmut(tree, "results", "--all", "true")
    return dict(re.findall(r"^\s*(\S+__mutmut_\d+): (.+?)\s*$", told, re.MULTILINE))


def _change(name: str, tree: Path) -> tuple[str, str]:
    """Return the line as it was and as it became."""
    lines = _mutmut(tree, "show", name).splitlines()
    old = [line[1:].strip() for line in lines if re.match(r"-(?!--)", line)]
    new = [line[1:].strip() for line in lines if re.match(r"\+(?!\+\+)", line)]
    return " ".join(old), " ".join(new)


def _mutmut(tree: Path, *arguments: str) -> str:
    return subprocess.run(  # noqa: S603 - a development dependency
        [sys.executable, *_MUTMUT, *arguments],
        cwd=tree,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def _is_alive(name: str, tree: Path, environment: Mapping[str, str]) -> bool:
    """Try a survivor again, in a process of its own.

    mutmut chooses the mutant after the package was imported, too late for what runs then, such as
    the making of a validator.
    """
    *_, folder, module, _ = name.split(".")
    test = f"tests/engine/test_{module}.py" if folder == "engine" else f"tests/test_{module}.py"
    mutated = tree / "mutants"
    done = subprocess.run(  # noqa: S603 - the repository's own tests
        [sys.executable, *PYTEST, test, *_OTHER_TESTS],
        cwd=mutated,
        env={**environment, "PYTHONPATH": str(mutated), "MUTANT_UNDER_TEST": name},
        capture_output=True,
        check=False,
    )
    return not done.returncode


def _is_equivalent(change: tuple[str, str]) -> bool:
    """Tell whether a change is known to change nothing; the type that cast() is told is nothing."""
    old, new = change
    return _CAST.sub("cast(", old) == _CAST.sub("cast(", new) or (old, new) in EQUIVALENT
