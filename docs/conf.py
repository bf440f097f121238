"""The site: `sphinx-build -W -n docs docs/_build/html`, without network."""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import desc_signature
from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "nextstat"
author = "the authors of nextstat"
copyright = "the authors of nextstat, BSD-3-Clause"
release = version = version_of("nextstat")

extensions = [
    "library_names",
    "moved_pages",
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_click",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
# The site has index.md and figures.rst where the repository has README.md and gallery.md.
exclude_patterns = ["_build", "README.md", "gallery.md", "gallery", "auto_gallery/index.rst"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4

# Docstrings put names in single backticks. Those of the library become links; parameters and other
# words do not resolve, and are shown as code.
default_role = "py:obj"
nitpick_ignore_regex = [("py:obj", r"(?!nextstat\.).*")]
toc_object_entries_show_parents = "hide"  # there is no room beside the page
autodoc_typehints = "none"  # the docstrings have the types, in words
autodoc_default_options = {  # what scikit-learn adds
    "exclude-members": "set_fit_request, set_score_request, set_transform_request"
}
numpydoc_show_class_members = False
# Where the file system ignores case, the page of `Scan` would overwrite that of `scan`.
autosummary_filename_map = {
    f"nextstat.{name}": f"nextstat.{name}_class"
    for name in ("Contour", "Interval", "Scan", "Yields")
}

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "filename_pattern": r"\.py$",
    "image_scrapers": ("script_figures.scrape",),
    "reset_argv": "script_figures.arguments",
    "backreferences_dir": "auto_gallery/backreferences",
    "doc_module": ("nextstat",),
    "abort_on_example_error": True,
    "download_all_examples": False,
    "min_reported_time": float("inf"),  # running times are of one machine
    "show_signature": False,
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "nextstat"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_sidebars = {page: [] for page in ("index", "getting_started", "glossary", "changelog")}
html_theme_options = {
    "logo": {"text": "nextstat"},
    "header_links_before_dropdown": 7,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
}


def anchor_under_package(app: Sphinx, doctree: nodes.document) -> None:
    """Also `nextstat.Channel` for `nextstat.workspace.Channel`, where the source links back to.

    viewcode takes all of a source file to be documented under one module; `Workspace`, of the same
    file as the rest of the schema, is under `nextstat`.
    """
    for signature in doctree.findall(desc_signature):
        if signature.get("module") == "nextstat.workspace" and "fullname" in signature:
            signature["ids"].append(f"nextstat.{signature['fullname']}")


def setup(app: Sphinx) -> None:
    """As Sphinx wants it."""
    app.connect("doctree-read", anchor_under_package)
