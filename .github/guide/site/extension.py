"""What the site adds to Sphinx: links from `cf.fit` to its page, and formulas that browsers draw."""

import re

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from names import mentioned, page_of, resolve
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.typing import ExtensionMetadata
from sphinx.writers.html5 import HTML5Translator

log = logging.getLogger(__name__)


class LinkNames(SphinxPostTransform):
    """Link each `cf.xyz` in backticks to its page of the reference; an unknown name is a warning."""

    default_priority = 5  # before references are resolved

    def run(self, **kwargs: object) -> None:
        """Go through all code spans of a page that are no links yet."""
        for span in list(self.document.findall(nodes.literal)):
            names = [*mentioned(span.astext())]
            for name in names:
                # The changelog names what is gone; tests/test_release.py looks at the names it adds.
                if resolve(name) is None and self.env.docname != "changelog":
                    log.warning("there is no public name cf.%s", name, location=span)
            target = resolve(names[0]) if names and span.astext().startswith("cf.") else None
            page = page_of(target) if target else self.env.docname
            if page == self.env.docname or isinstance(span.parent, nodes.reference):
                continue
            if isinstance(span.parent, addnodes.pending_xref | nodes.title):
                continue
            link = addnodes.pending_xref(
                "",
                refdomain="std",
                reftype="doc",
                reftarget=f"/{page}",
                refexplicit=True,
                refwarn=True,
                refdoc=self.env.docname,
            )
            span.replace_self(link)
            link += span


class DrawFormulas(SphinxPostTransform):
    """Turn each formula into MathML, which every browser draws without a script from anywhere.

    One that docutils does not know is a warning here, where a script would show it to readers.
    """

    default_priority = 900

    def run(self, **kwargs: object) -> None:
        """Go through all formulas of a page."""
        for kind in (nodes.math, nodes.math_block):
            for formula in list(self.document.findall(kind)):
                # docutils sets the index of an accented letter below it, as a limit, unless they
                # stand together in braces with something more.
                text = ACCENTED.sub(r"{\1{}}", formula.astext())
                # It knows the large brackets by their side alone, `\bigl`.
                text = re.sub(r"\\big(?![a-z])", r"\\bigl", text)
                try:
                    formula["mathml"] = tex2mathml(text, as_block=kind is nodes.math_block)
                except MathError as error:
                    log.warning("formula %r: %s", text, error, location=formula)


ACCENTED = re.compile(
    r"(\\(?:dot|ddot|hat|bar|tilde|vec|overline)\s*(?:\\[A-Za-z]+|[A-Za-z]|\{[^{}]*\}))(?=\s*[_^])"
)


def _write(self: HTML5Translator, node: nodes.math | nodes.math_block) -> None:
    self.body.append(node.get("mathml", ""))
    raise nodes.SkipNode


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register them with Sphinx."""
    app.add_post_transform(LinkNames)
    app.add_post_transform(DrawFormulas)
    app.add_html_math_renderer("mathml", (_write, None), (_write, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
