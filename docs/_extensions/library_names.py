"""Short names: `fit` in the docstrings of any module means `nextstat.fit`, if nothing nearer."""

from __future__ import annotations

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment


def find(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.Element | None:
    """The link to a name of the package that its module does not have."""
    if node["refdomain"] != "py" or node["reftarget"].startswith("nextstat."):
        return None
    name = f"nextstat.{node['reftarget']}"
    python = env.domains["py"]
    return python.resolve_xref(env, node["refdoc"], app.builder, "obj", name, node, content)


def setup(app: Sphinx) -> dict[str, bool]:
    """As Sphinx wants it."""
    app.connect("missing-reference", find)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
