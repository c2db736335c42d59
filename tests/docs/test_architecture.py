"""The page on the architecture, held against the tree."""

from __future__ import annotations

import re
from pathlib import Path

import fanvue_async

_ROOT = Path(__file__).parents[2]
_PACKAGE = Path(fanvue_async.__file__).parent  # which may be that of the wheel
_UNNAMED = {"__init__.py", "version.py"}


def test_the_page_names_every_file() -> None:
    """A maintainer finds each file and folder of the package on the page, and no other."""
    page = (_ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page[page.index("## Layout") : page.index("## Life of a call")]

    named = set(re.findall(r"`(?:engine/)?(\w+(?:\.py|/))`", table))

    files = {path.name for path in (*_PACKAGE.glob("*.py"), *(_PACKAGE / "engine").glob("*.py"))}
    folders = {f"{path.parent.name}/" for path in _PACKAGE.glob("*/__init__.py")}
    assert named == files - _UNNAMED | folders


def test_the_picture_names_files_that_are_there() -> None:
    """One that was moved or renamed is so in the picture, too."""
    picture = (_ROOT / "docs" / "architecture.svg").read_text(encoding="utf-8")

    named = set(re.findall(r"(?:resources/)?(\w+\.py)", picture))

    assert named <= {path.name for path in _PACKAGE.rglob("*.py")}
