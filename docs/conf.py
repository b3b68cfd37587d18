"""Configuration of Sphinx, which builds these pages (`make docs`). Nothing is downloaded."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.domains.python import PyObject

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER))

import plaintext  # noqa: E402
from kinds import HeadComment, Kinds  # noqa: E402

import gatewise  # noqa: E402

project = "gatewise"
author = "the gatewise contributors"
copyright = author
version = release = gatewise.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
myst_heading_anchors = 3

smartquotes_action = "D"  # dashes only: "gru" is a value, not a quotation
highlight_language = "text"

html_theme = "furo"
html_title = f"gatewise {release}"
html_static_path = ["_static", "images/demo_narrow.png"]  # wide.css puts it in the place of demo.png on a phone
html_css_files = ["wide.css"]
html_copy_source = False
html_show_sphinx = False
pygments_style = "friendly"
pygments_dark_style = "monokai"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_type_aliases = {"Array": "Array", "Series": "Series"}
default_role = "code"  # in a docstring, what stands in single backticks is code
napoleon_google_docstring, napoleon_numpy_docstring = True, False
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_preprocess_types = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88

# No links for types of other libraries, for a type variable, and for a private base class.
nitpick_ignore_regex = [
    ("py:.*", r"(?!gatewise\b).*"),
    ("py:class", r"gatewise\.layers\.registry\.Base"),
    ("py:class", r"gatewise\.errors\._Message"),
]


def skip(app: Sphinx, what: str, name: str, obj: Any, skipped: bool, options: Any) -> bool | None:
    """Leave out the methods that scikit-learn adds to every estimator for its meta-estimators."""
    return True if name.startswith("set_") and name.endswith("_request") else None


_ALIASES = {
    r"TypeAliasForwardRef\('(\w+)'\)": r"\1",
    r"(?:[\w.]+\.)?_Buffer \| .*?_NestedSequence\[complex \| bytes \| str\]": "ArrayLike",
}


def shorten(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Show type aliases by their names instead of the types that they stand for."""
    texts = [signature, returns]
    for pattern, short in _ALIASES.items():
        texts = [text and re.sub(pattern, short, text) for text in texts]
    return texts[0], texts[1]


def setup(app: Sphinx) -> dict[str, Any]:
    for field in PyObject.doc_field_types:
        if field.name == "variable":
            field.label = "Attributes"  # as docstrings call them
    app.add_directive("kinds", Kinds)
    app.add_directive("head-comment", HeadComment)
    app.connect("autodoc-process-docstring", plaintext.process, priority=100)
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-signature", shorten)
    return {"parallel_read_safe": True}
