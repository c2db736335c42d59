"""How the documentation is built: Sphinx, MyST and furo, without the network."""

# ruff: noqa: INP001 - a configuration, no package

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sphinx.ext.napoleon import Config
from sphinx.ext.napoleon.docstring import GoogleDocstring

import fanvue_async
from fanvue_async import testing

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

project = "fanvue_async"
author = "The fanvue_async authors"
version = release = fanvue_async.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
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

# Classes that users get and do not make, so that how to make one is of no interest.
_NOT_MADE_BY_USERS = {
    "ChatsResource",
    "CreatedChat",
    "RateLimit",
    "ReceivedRequest",
    "Response",
    "RetryEvent",
    "TokenProvider",
}
# Names in signatures that have no page here: other packages' and private ones.
_ELSEWHERE = {
    "aiohttp.ClientSession",
    "collections.abc.Mapping",
    "datetime.datetime",
    "DropAfter",
    "Duplicates",
    "EllipsisType",
    "UUID",
    "_Scalar",
    "ssl_module.SSLContext",
}


def setup(app: Sphinx) -> None:
    """Say how docstrings are read and names are found."""
    app.connect("autodoc-process-docstring", _read_docstring)
    app.connect("autodoc-process-signature", _shorten_signature)
    app.connect("missing-reference", _find_public_name)


def _read_docstring(  # noqa: PLR0913, PLR0917 - the signature of the event
    app: Sphinx, what: str, name: str, obj: object, options: Any, lines: list[str]
) -> None:
    """Read Google's sections; not of attributes, whose first colon Napoleon takes for a type's."""
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
    if what == "exception" or name.rpartition(".")[2] in _NOT_MADE_BY_USERS:
        return "", None
    return signature.replace("Ellipsis", "..."), returns


def _find_public_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.Element | None:
    """Find a class by its public name, whichever module defines it."""
    target = str(node.get("reftarget"))
    if target in _ELSEWHERE:
        return content
    name = target.rpartition(".")[2]
    for module in (fanvue_async, testing):
        public = f"{module.__name__}.{name}"
        if name in vars(module) and public != target:
            python = env.domains.python_domain
            return python.resolve_xref(
                env, node["refdoc"], app.builder, "obj", public, node, content
            )
    return None
