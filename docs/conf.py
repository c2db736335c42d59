"""How the documentation is built: Sphinx, MyST and furo, without the network."""

# ruff: noqa: INP001 - a configuration, no package

from __future__ import annotations

import inspect
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from docutils.parsers.rst import directives
from sphinx.ext.napoleon import Config
from sphinx.ext.napoleon.docstring import GoogleDocstring
from sphinx.util.docutils import SphinxDirective

import fanvue_async

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

project = "fanvue_async"
author = "The fanvue_async authors"
version = release = fanvue_async.__version__

extensions = ["myst_parser", "sphinx_copybutton", "sphinx.ext.autodoc"]
if not tags.has("fast"):  # noqa: F821 - Sphinx's own; pages with the source take a third of the time
    extensions.append("sphinx.ext.viewcode")
exclude_patterns = ["_build"]
nitpicky = True

myst_enable_extensions = ["alert"]  # > [!NOTE], which reads well on a repository's page too
myst_heading_anchors = 3

add_module_names = False  # the page says where each is imported from
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_typehints_format = "short"
maximum_signature_line_length = 80
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = f"fanvue_async {release}"
html_static_path = ["_static"]
html_css_files = ["fanvue.css"]
html_use_index = html_domain_indices = False  # the search finds more
html_copy_source = html_show_sourcelink = html_show_copyright = False
pygments_dark_style = "github-dark"

copybutton_selector = "div:not(.highlight-output):not(.highlight-text) > div.highlight > pre"

# Where public names are imported from.
_HOMES = (
    "fanvue_async",
    "fanvue_async.bulk",
    "fanvue_async.inbox",
    "fanvue_async.oauth",
    "fanvue_async.stores",
    "fanvue_async.testing",
    "fanvue_async.webhooks",
)
_MADE_BY_USERS = {
    "FakeFanvue",
    "FanvueClient",
    "Limits",
    "MemoryStore",
    "OAuthApp",
    "RateLimits",
    "RedisStore",
    "RetryPolicy",
    "SQLiteStore",
    "Timeout",
}


class Public(SphinxDirective):
    """Describe the public names of a module, those of the nouns by the file that defines them.

    ``.. public:: fanvue_async.resources.chats`` takes what ``fanvue_async`` offers of that file.
    """

    required_arguments = 1
    option_spec: ClassVar = {"only": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        """Write an autodoc directive for each name, what has methods first."""
        origin = import_module(self.arguments[0])
        homes = [home for home in _HOMES if f"{origin.__name__}.".startswith(f"{home}.")]
        home = import_module(max(homes, key=len))
        names = self.options.get("only", "").split() or list(home.__all__)
        lines = [f".. py:currentmodule:: {home.__name__}", ""]
        for name in sorted(names, key=lambda name: not name.endswith("Resource")):
            value = getattr(home, name)
            if home is not origin and getattr(value, "__module__", None) != origin.__name__:
                continue
            kind = "class" if inspect.isclass(value) else "function"
            lines += [f".. auto{kind}:: {name}", "   :members:", "   :show-inheritance:", ""]
            if kind == "function":
                del lines[-3:-1]
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Sphinx) -> None:
    """Register how docstrings are read and names are found."""
    app.add_directive("public", Public)
    app.connect("autodoc-process-docstring", _read_docstring)
    app.connect("autodoc-process-signature", _shorten_signature)
    app.connect("missing-reference", _find_public_name)


def _read_docstring(  # noqa: PLR0913, PLR0917 - the signature of the event
    app: Sphinx, what: str, name: str, obj: object, options: Any, lines: list[str]
) -> None:
    """Read Google's sections; in attributes, Napoleon would take the first colon for a type."""
    if what not in {"attribute", "property"}:
        lines[:] = GoogleDocstring(lines, Config(), app, what, name, obj, options).lines()


def _shorten_signature(
    _app: Sphinx,
    what: str,
    name: str,
    _obj: object,
    _options: object,
    signature: str | None,
    returns: str | None,
) -> tuple[str, str | None] | None:
    if signature is None:
        return None
    if what == "exception" or (what == "class" and name.rpartition(".")[2] not in _MADE_BY_USERS):
        return "", None
    return signature.replace("Ellipsis", "..."), returns


def _find_public_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.Element | None:
    """Find a class by its public name, whichever module defines it.

    A class without one has no page: it is private, or another package's.
    """
    target = str(node.get("reftarget"))
    name = target.rpartition(".")[2]
    python = env.domains.python_domain
    for home in _HOMES:
        public = f"{home}.{name}"
        if public != target and hasattr(import_module(home), name):
            found = python.resolve_xref(
                env, node["refdoc"], app.builder, "obj", public, node, content
            )
            if found is not None:
                return found
    return content if node.get("reftype") in {"class", "obj"} else None
