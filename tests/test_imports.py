"""The house: imports go one way, importing is cheap, and nothing grows too large to read."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from importlib import util
from pathlib import Path

import pytest

import fanvue_async

TOP = Path(fanvue_async.__file__).parent
FILES = {
    ".".join(path.relative_to(TOP.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(TOP.rglob("*.py"))
}
MAX_LINES_OF_A_CLASS = 150


def _imports(module: str) -> set[str]:
    """Find what a file of the package imports of the package, also inside of functions.

    A package names what lies in it, so that users find it there; those names are no dependency.
    """
    found: set[str] = set()
    is_package = FILES[module].name == "__init__.py"
    for node in ast.walk(ast.parse(FILES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = util.resolve_name("." * node.level + (node.module or ""), module)
            names = [
                full if (full := f"{base}.{alias.name}") in FILES else base for alias in node.names
            ]
        else:
            continue
        found |= {name for name in names if name in FILES}
    below = {name for name in found if is_package and name.startswith(f"{module}.")}
    return found - below - {module}


GRAPH = {module: _imports(module) for module in FILES}


def _of(*prefixes: str) -> set[str]:
    return {module for module in FILES if module.startswith(tuple(prefixes))}


def test_no_imports_go_in_a_circle() -> None:
    """Not even those that only type checkers see."""
    try:
        TopologicalSorter(GRAPH).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


ENGINE = "fanvue_async.engine"
SURFACE = _of(
    "fanvue_async.resources",
    "fanvue_async.client",
    "fanvue_async.oauth",
    "fanvue_async.webhooks",
    "fanvue_async.inbox",
    "fanvue_async.bulk",
    "fanvue_async.testing",
    "fanvue_async.__main__",
)

TESTING = _of("fanvue_async.testing", "fanvue_async.pytest_plugin", "fanvue_async.__main__")


@pytest.mark.parametrize(
    ("modules", "never"),
    [
        (_of("fanvue_async.errors"), set(FILES)),
        (_of("fanvue_async.lazy"), set(FILES)),
        ({"fanvue_async.stores"}, set(FILES) - {"fanvue_async.errors", "fanvue_async.lazy"}),
        (_of(ENGINE), SURFACE | _of("fanvue_async.stores.")),
        (_of("fanvue_async.paging", "fanvue_async.money"), SURFACE),
        (_of("fanvue_async.resources"), _of("fanvue_async.client", "fanvue_async.testing")),
        (set(FILES) - TESTING, TESTING),
    ],
    ids=["errors", "lazy", "stores", "engine", "paging", "nouns", "testing"],
)
def test_imports_go_one_way(modules: set[str], never: set[str]) -> None:
    """The engine knows no noun, the errors nothing, a noun no client, and nobody the fake."""
    assert modules
    arrows = {module: GRAPH[module] & never for module in modules}
    assert {module: names for module, names in arrows.items() if names} == {}


def test_no_class_of_the_engine_is_too_large() -> None:
    """Each can be read in one sitting."""
    sizes = {
        node.name: (node.end_lineno or 0) - node.lineno + 1
        for module in _of(ENGINE)
        for node in ast.parse(FILES[module].read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    }
    assert {name for name, size in sizes.items() if size > MAX_LINES_OF_A_CLASS} == set()


def _modules_after(statement: str) -> set[str]:
    """Run the statement in a fresh interpreter, and return the modules it has loaded then."""
    code = f"import sys\n{statement}\nprint(*sys.modules, sep='\\n')"
    run = subprocess.run(  # noqa: S603 - this very interpreter
        [sys.executable, "-I", "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=25,
    )
    assert run.stderr == ""
    return set(run.stdout.split())


def test_importing_loads_what_a_client_needs() -> None:
    """Nouns, stores and what reads JSON come when they are used, optional packages never."""
    own = _modules_after("import aiohttp, attrs, tenacity")
    loaded = _modules_after("import fanvue_async")

    foreign = {name for name in loaded - own if name.split(".")[0] not in sys.stdlib_module_names}
    assert {name.split(".")[0] for name in foreign} == {"fanvue_async"}
    for later in ("oauth", "webhooks", "inbox", "bulk", "testing", "stores.sqlite", "stores.redis"):
        assert f"fanvue_async.{later}" not in loaded
    assert {name for name in loaded if name.startswith("fanvue_async.resources.")} <= {
        "fanvue_async.resources._check",
        "fanvue_async.resources._resource",
    }
    for later in ("msgspec", "sqlite3", "redis", "aiohttp.web", "pytest", "uvloop"):
        assert later not in loaded
