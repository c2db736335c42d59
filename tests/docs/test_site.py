"""The documentation site: it builds without a warning, and no link in it leads nowhere."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import fanvue_async

pytest.importorskip("sphinx", reason="what requirements-docs.txt lists is not installed")

from markdown_it import MarkdownIt

_ROOT = Path(__file__).parents[2]
_DOCS = _ROOT / "docs"
_LOADED = {"audio", "embed", "iframe", "img", "link", "script", "source", "video"}


class _Page(HTMLParser):
    """What a page of HTML offers to link to, links to, and loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            if name in {"href", "src"} and value:
                self.links.add(value)
                if tag in _LOADED:
                    self.loaded.add(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as ``make docs`` does, but elsewhere, and without the pages of source."""
    built = tmp_path_factory.mktemp("site")
    python = [sys.executable, "-W", "ignore"]  # what Python says of Sphinx and its extensions
    command = [*python, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet"]
    command += ["--tag", "fast"]
    finished = subprocess.run(  # noqa: S603 - our own command
        [*command, "--doctree-dir", built / "doctrees", _DOCS, built / "html"],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return built / "html"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, _Page]:
    """Read all pages of the site."""
    return {path: _Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


@pytest.mark.timeout(120)
def test_every_link_within_the_site_leads_somewhere(pages: dict[Path, _Page]) -> None:
    """A link to a page, a file or a heading of the site finds it."""
    dead: list[str] = []
    for path, page in pages.items():
        dead += [f"{path.name}: {link}" for link in page.links if not _leads(path, link, pages)]

    assert dead == []


def _leads(page: Path, link: str, pages: dict[Path, _Page]) -> bool:
    """Tell whether a link of a page finds its file and its heading; those to elsewhere count."""
    address = urlsplit(link)
    if address.scheme or address.netloc:
        return True
    target = (page.parent / unquote(address.path)).resolve() if address.path else page
    if not address.fragment or target not in pages:
        return target.is_file()
    return unquote(address.fragment) in pages[target].anchors


@pytest.mark.timeout(120)
def test_nothing_is_loaded_from_elsewhere(pages: dict[Path, _Page]) -> None:
    """The site works offline: its scripts, styles, fonts and drawings are its own."""
    foreign = {link for page in pages.values() for link in page.loaded if "//" in link}

    assert foreign == set()


@pytest.mark.timeout(120)
def test_every_page_is_in_the_navigation(site: Path, pages: dict[Path, _Page]) -> None:
    """From the first page a reader finds every other."""
    written = {str(page.relative_to(_DOCS).with_suffix(".html")) for page in _DOCS.rglob("*.md")}

    assert written - {"index.html"} <= pages[site / "index.html"].links


@pytest.mark.timeout(120)
def test_every_public_name_is_in_the_reference(pages: dict[Path, _Page]) -> None:
    """What can be imported is described."""
    described: set[str] = set()
    for path, page in pages.items():
        if path.parent.name == "reference":
            described |= page.anchors
    public = {f"fanvue_async.{name}" for name in fanvue_async.__all__ if name != "__version__"}

    assert public <= described


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"])
def test_every_link_on_the_repository_s_pages_leads_somewhere(name: str) -> None:
    """What is read outside of the site links to files that are there."""
    rendered = MarkdownIt().render((_ROOT / name).read_text(encoding="utf-8"))

    links = [urlsplit(link) for link in _Page(rendered).links]

    files = [link.path for link in links if not link.scheme and link.path]
    assert [path for path in files if not (_ROOT / path).is_file()] == []
