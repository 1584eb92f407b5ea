"""The site that `make docs` builds: Sphinx, with notebooks by MyST-NB.

The folder of sources is the whole repository, so that links between its pages,
to benchmarks and to the files of experiments are the same on the site as in the
repository, and are checked.
"""

import os
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Notebooks run in folders of their own, in new processes.
sys.path.insert(0, str(ROOT))
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])
)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cb  # noqa: E402

project = html_title = "cb"
release = cb.__version__
extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "myst_nb"]
root_doc = "docs/index"
include_patterns = ["docs/**", "benchmarks/*.md", "*.md"]
exclude_patterns = ["**/.*", "build", "runs", "pages"]
highlight_language = "text"
# Pages that benchmarks write may leave out a level of headings.
suppress_warnings = ["myst.header"]

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False

# GitHub's anchors of headings.
myst_heading_anchors = 4
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 900
nb_merge_streams = True
# A warning in a notebook is one of the build.
nb_output_stderr = "remove-warn"

# Docstrings say what types arguments have.
autodoc_typehints = "none"
# Other libraries are not linked: that needs their sites.
nitpick_ignore_regex = [("py:class", r"(keras|numpy|tensorflow)\..*")]
autodoc_member_order = "bysource"
# What classes of Keras say about their methods is not written for Sphinx.
autodoc_inherit_docstrings = False
napoleon_numpy_docstring = False
napoleon_custom_sections = [
    ("Call arguments", "params_style"),
    "Input shape",
    "Output shape",
    "Reference",
]
napoleon_use_ivar = True

# What has a place in the API, to lead there.
_LISTED = {
    name
    for page in (ROOT / "docs/api").glob("*.md")
    for name in re.findall(r"^\.\. auto\w+:: (\S+)$", page.read_text(), re.M)
}
_FENCE = re.compile(r"^( *)```\w*\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)(?=(\w?))")
_LINK = re.compile(r"\[([^\]]+)\]\((https?://[^)]+)\)")


def to_restructured_text(text: str) -> str:
    """Translate the Markdown of a docstring, which Keras's style is.

    Args:
        text: String.

    Returns:
        String that Napoleon reads.
    """

    def block(found):
        lines = found[2].splitlines()
        inside = "\n".join(f"    {line}" if line else "" for line in lines)
        return f"{found[1]}::\n\n{inside}\n"

    def code(found):
        # No word may follow what is marked.
        following = "\\ " if found[2] else ""
        inside = " ".join(found[1].split())
        if inside in _LISTED:
            return f":py:obj:`{inside}`{following}"
        return f"``{inside}``{following}"

    text = _FENCE.sub(block, text)
    text = _CODE.sub(code, text)
    return _LINK.sub(lambda found: f"`{found[1]} <{found[2]}>`__", text)


def setup(app):
    """Translate docstrings before Napoleon does; lead the root to a page."""

    def translate(app, what, name, thing, options, lines):
        lines[:] = to_restructured_text("\n".join(lines)).split("\n")

    def redirect(app, exception):
        if exception is None:
            page = '<meta http-equiv="refresh" content="0; url={}.html">'
            file = pathlib.Path(app.outdir) / "index.html"
            file.write_text(page.format(root_doc) + "\n")

    app.connect("autodoc-process-docstring", translate, priority=100)
    app.connect("build-finished", redirect)
