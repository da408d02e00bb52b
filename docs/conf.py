"""How Sphinx builds the site: `python -m sphinx -W docs docs/_build`, from the project's folder."""

import inspect
import os
import sys
from pathlib import Path

from docutils.nodes import SkipNode
from docutils.utils.math.latex2mathml import tex2mathml

from skeeg import __version__

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("MPLBACKEND", "Agg")

project = "skeeg"
author = "The skeeg developers"
copyright = author
version = release = __version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "auto_examples/GALLERY_HEADER.rst"]
templates_path = ["_templates"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3  # README and benchmarks link to their own headings

# A name of skeeg that leads nowhere is an error; those of other projects are out of reach of this build.
nitpicky = True
nitpick_ignore_regex = [(".*", r"(?!skeeg\.).*")]

autosummary_generate = True
toc_object_entries_show_parents = "hide"  # names of methods alone fit beside the page
autodoc_typehints = "none"  # numpydoc's types are what users read
numpydoc_show_class_members = False  # the template of a class lists what is documented
numpydoc_xref_param_type = False

sphinx_gallery_conf = {
    "examples_dirs": str(ROOT / "examples"),
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "remove_config_comments": True,
    "backreferences_dir": "api/examples",
    "doc_module": ("skeeg",),
    "inspect_global_variables": False,
    "matplotlib_animations": False,
    "within_subsection_order": "FileNameSortKey",
}

html_math_renderer = "mathml"  # which browsers draw themselves: no script from elsewhere
html_theme = "pydata_sphinx_theme"
html_title = "skeeg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "show_prev_next": True,
    "header_links_before_dropdown": 5,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def _of_others(app, what, name, obj, skip, options):
    """Leave out what a class inherits from PyTorch, skorch and scikit-learn: their own pages describe it."""
    where = getattr(inspect.unwrap(obj), "__module__", None) if callable(obj) else None
    return True if where and not where.startswith("skeeg") else None


_SAME = {f"skeeg.{name}": f"skeeg.preprocessing.{name}" for name in ("EuclideanAlignment", "Scaler")}


def _of_skeeg_itself(app, env, node, contents):
    """Lead names that skeeg has itself to the pages of their rooms."""
    if (target := node.get("reftarget")) not in _SAME:
        return None
    domain = env.get_domain("py")
    return domain.resolve_xref(
        env, node["refdoc"], app.builder, node["reftype"], _SAME[target], node, contents
    )


def _in_line(translator, node):
    translator.body.append(tex2mathml(node.astext()))
    raise SkipNode


def _displayed(translator, node):
    translator.body.append(f'<div class="displayed-math">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (_in_line, None), (_displayed, None))
    app.connect("missing-reference", _of_skeeg_itself)
    app.connect("autodoc-skip-member", _of_others)
