"""What the PDF of the book needs beyond Sphinx: the numbers of the web edition, boxes for statements, pictures for raw HTML.

Active for the LaTeX builder only. The typography itself (fonts, boxes, title page) is in fptbook.sty beside this file.
"""

import re
import subprocess
from pathlib import Path

from docutils import nodes
from fptbook import results_of
from sphinx import addnodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging

log = logging.getLogger(__name__)

HERE = Path(__file__).parent
STYLES = dict.fromkeys(("theorem", "lemma", "proposition", "corollary"), "fptresult")
STYLES |= dict.fromkeys(("definition", "algorithm"), "fptdefinition")
INTERACTIVE = "In the web edition this figure moves; here it stands as it opens. What the text says about its sliders applies there."
ABOUT = r"\setcounter{secnumdepth}{-2}\chapter{About this book}"
LATEX = {
    "papersize": "a4paper",
    "pointsize": "10pt",
    "extraclassoptions": "openany,oneside",
    "fontpkg": "",
    "fncychap": "",
    "geometry": r"\usepackage[a4paper,hmargin=23mm,top=26mm,bottom=28mm]{geometry}",
    "fvset": "",
    "sphinxsetup": "verbatimhintsturnover=false,"
    "InnerLinkColor={RGB}{15,76,129},OuterLinkColor={RGB}{15,76,129},"
    "VerbatimColor={RGB}{246,247,249},VerbatimBorderColor={RGB}{221,225,230}",
    "preamble": r"\usepackage{fptbook}",
    "maketitle": r"\fptmaketitle",
}


def is_latex(app):
    return app.builder.format == "latex"


# ---------------------------------------------------------------------------------------------------- settings


def settings(app, config):
    """The LaTeX settings of the book, before jupyterbook-latex adds its own lines to the preamble."""
    config.latex_elements = {**LATEX, **config.latex_elements}
    config.jblatex_show_tocs = False
    config.latex_domain_indices = False  # the list of results does better
    config.latex_additional_files = [*config.latex_additional_files, str(HERE / "fptbook.sty")]


def web_numbers(app):
    """Parts do not count: Theorem 4.1 is Theorem 4.1 in both editions. Equations are numbered by LaTeX, within chapters."""
    if is_latex(app):
        app.config.numfig_secnum_depth = 1
        hero = picture(
            Path(app.srcdir) / app.config.root_doc, svg_of((Path(app.srcdir) / "book/index.md").read_text("utf-8")), app
        )
        app.config.latex_additional_files = [*app.config.latex_additional_files, str(hero)]


def latex_numbers(app, env):
    """LaTeX counts a part as a level, so the depth goes back once the numbers of the web edition are given."""
    if is_latex(app):
        app.config.numfig_secnum_depth = 2


# ---------------------------------------------------------------------------------------------------- pictures


def svg_of(text):
    found = re.search(r"<svg.*?</svg>", text, re.S)
    return found[0] if found else ""


def picture(name, svg, app):
    """An inline SVG as a PDF under _build/print. Colours that a style sheet would give are filled in."""
    css = (Path(app.srcdir) / "_static/book.css").read_text("utf-8")
    light = dict(reversed(re.findall(r"(--fpt-[a-z]+):\s*(#[0-9a-fA-F]+)", css)))
    svg = re.sub(r"var\((--[\w-]+)(?:,\s*(#[0-9a-fA-F]+|\w+))?\)", lambda m: light.get(m[1]) or m[2] or "#1c2430", svg)
    svg = re.sub(r'font-family\s*[=:]\s*"?inherit"?;?', "", svg).replace("&nbsp;", " ")
    width, height = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups()
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" color="#1c2430" font-family="Source Sans Pro, DejaVu Sans"'
    svg = re.sub(
        r'(?<=<svg)([^>]*?) (?:width|style)="[^"]*"',
        r"\1",
        re.sub(r'(?<=<svg)([^>]*?) style="[^"]*"', r"\1", svg, count=1),
        count=1,
    )
    folder = Path(app.srcdir) / "_build/print"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{Path(name).name}.pdf"
    target.with_suffix(".svg").write_text(svg.replace("<svg", head, 1), encoding="utf-8")
    subprocess.run(["rsvg-convert", "-f", "pdf", "-o", str(target), str(target.with_suffix(".svg"))], check=True)
    return target


def raw_to_pictures(app, doctree):
    """Raw HTML is lost in LaTeX: drawings are converted, moving figures replaced by a picture kept in book/_print."""
    if not is_latex(app):
        return
    for count, node in enumerate(list(doctree.findall(nodes.raw))):
        text = node.astext()
        if "html" not in node.get("format", ""):
            continue
        name = re.search(r'<div (?:class|id)="([\w-]+)"', text)
        still = HERE.parent / "_print" / f"{name[1]}.pdf" if name else None
        if "<svg" in text:
            path = picture(f"{app.env.docname}-{count}", svg_of(text), app)
            opening = [nodes.raw("", ABOUT, format="latex")] if app.env.docname == app.config.root_doc else []
            node.replace_self([*opening, image(app, path, re.search(r"<title[^>]*>(.*?)</title>", text, re.S)[1])])
        elif still is not None and still.exists():
            note = nodes.paragraph("", "", nodes.emphasis("", INTERACTIVE))
            width, height = map(float, re.search(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", still.read_bytes()).groups())
            node.replace_self(
                [image(app, still, "The figure as it opens", "98%" if width > 1.8 * height else "75%"), note]
            )
        elif "<script" in text:
            log.warning("no still picture of this figure: run book/_tools/print_figures.py", location=node)


def image(app, path, alt, width="92%"):
    relative = path.resolve().relative_to(Path(app.srcdir).resolve())
    return nodes.image("", uri=f"/{relative.as_posix()}", alt=" ".join(alt.split()), width=width, align="center")


# ---------------------------------------------------------------------------------------------------- pages


def short_results(app, docname, source):
    """On paper the list of results names statements and pages; tests are links of the web edition."""
    if docname != "book/results" or not is_latex(app):
        return
    rows, page = [], None
    for doc, _, title, label in results_of(Path(app.srcdir), app.env.found_docs):
        if doc != page:
            page = doc
            head = re.search(r"^# (.+)$", (Path(app.srcdir) / f"{doc}.md").read_text(encoding="utf-8"), re.M)[1]
            rows += ["", f"## {head}", ""]
        rows.append(f"- {{prf:ref}}`{label}`: {title} [[{doc}:{label}]]")
    text = re.sub(
        r" The third column.*?(?=\n\n)",
        " The web edition adds to each the tests that try to break it.",
        source[0],
        flags=re.S,
    )
    source[0] = text.replace("% results-table", "\n".join(rows))


def pages_of_results(app, doctree):
    """The marks of `short_results` become page numbers."""
    if is_latex(app) and app.env.docname == "book/results":
        for text in [t for t in doctree.findall(nodes.Text) if re.search(r"\[\[.+\]\]$", t)]:
            title, label = text[:-2].split("[[")
            page = nodes.raw("", rf"\dotfill\pageref{{{label}}}", format="latex")
            text.parent.replace(text, [nodes.Text(title), page])


def proofs(app, doctree):
    """`Proof.` is set in italics, and the proof ends with its mark."""
    if not is_latex(app):
        return
    for node in doctree.findall(lambda n: n.__class__.__name__ == "proof_node"):
        body = node.children[0]
        node.children = body.children
        for child in node.children:
            child.parent = node
        first = next(iter(node.findall(nodes.Text)), None)
        if first is not None and first.astext().startswith("Proof."):
            rest = nodes.Text(first.astext().removeprefix("Proof."))
            first.parent.replace(first, [nodes.emphasis("", "Proof."), rest])
        last = node.children[-1]
        mark = nodes.raw("", r"\fptqed", format="latex")
        if isinstance(last, nodes.paragraph):
            last += mark
        else:
            node += nodes.paragraph("", "", mark)


def titles_of_cards(app, doctree):
    if is_latex(app):
        for node in doctree.findall(nodes.Element):
            if "sd-card-title" in node.get("classes", ()):
                node.children = [nodes.strong("", "", *node.children)]


def titles_of_notebooks(app, doctree):
    """In the contents of the PDF a notebook stands under its chapter and often has its name. References keep the plain name."""
    if is_latex(app) and app.env.docname.startswith("notebooks/"):
        title = next(doctree.findall(nodes.title))
        if "notebook" not in title.astext().lower():
            title.insert(0, nodes.Text("Notebook: "))


class ExerciseLinks(SphinxPostTransform):
    """References to exercises of other chapters keep the number they have; LaTeX has no counter for exercises."""

    default_priority = 23
    builders = ("latex",)

    def run(self, **kwargs):
        for node in list(self.document.findall(addnodes.number_reference)):
            label = (node.get("refid") or node.get("refuri", "")).split("#")[-1]
            if label in getattr(self.env, "sphinx_exercise_registry", {}):
                link = rf"\hyperref[exercise:{label}]{{{node.astext()}}}"
                node.replace_self(nodes.raw("", link, format="latex"))


class Parts(SphinxPostTransform):
    """Parts carry their number in their name; chapters are numbered where the web edition numbers them; steps of notebooks are not."""

    default_priority = 750
    builders = ("latex",)

    def run(self, **kwargs):
        for start in list(self.document.findall(addnodes.start_of_file)):
            name = start["docname"]
            numbered = bool(self.env.toc_secnumbers.get(name, {}).get(""))
            depth = -2 if not numbered else 1 if name.startswith("notebooks/") else 2
            start.insert(0, nodes.raw("", rf"\setcounter{{secnumdepth}}{{{depth}}}" + "\n", format="latex"))


# ---------------------------------------------------------------------------------------------------- boxes


def box(environment):
    """Visitors of a box whose title is the first child: LaTeX gets `\\begin{environment}{style}{title}`, a style for statements only."""

    def visit(self, node):
        section, label, style = node.parent, node.get("label", ""), ""
        while "docname" not in section:
            section = section.parent
        docname = section["docname"]
        if environment == "fptstatement":
            kind = node["realtype"]
            number = ".".join(map(str, self.builder.env.toc_fignumbers[docname][node["countertype"]][node["ids"][0]]))
            title = node.children[0]
            if title.children:  # sphinx-proof sets titles in brackets, which may hold brackets
                title[0] = nodes.Text(title[0].astext().removeprefix(" ("))
                if isinstance(title[-1], nodes.Text):
                    title[-1] = nodes.Text(title[-1].astext().removesuffix(")"))
            title.insert(0, nodes.raw("", f"{kind.title()} {number}\\quad ", format="latex"))
            style = f"{{{STYLES.get(kind, 'fptaside')}}}"
        anchor = f"exercise:{label}" if environment == "fptexercise" else f"{docname}:{label}"
        self.body.append(f"\n\\phantomsection\\label{{{anchor}}}\n\\begin{{{environment}}}{style}")

    def depart(self, node):
        self.body.append(f"\\end{{{environment}}}\n")

    return visit, depart


def boxes(app):
    """Replaces the boxes of sphinx-proof and sphinx-exercise, which all look like notes."""
    from sphinx_exercise.nodes import exercise_enumerable_node, solution_node
    from sphinx_proof.nodes import NODE_TYPES

    names = dict.fromkeys(NODE_TYPES.values(), "fptstatement")
    names |= {exercise_enumerable_node: "fptexercise", solution_node: "fptsolution"}
    handlers = app.registry.translation_handlers.setdefault("latex", {})
    handlers.update((kind.__name__, box(name)) for kind, name in names.items())


def setup(app):
    app.connect("config-inited", settings, priority=100)
    app.connect("builder-inited", web_numbers, priority=900)
    app.connect("builder-inited", boxes, priority=950)
    app.connect("env-check-consistency", latex_numbers)
    app.connect("source-read", short_results, priority=400)
    app.connect("doctree-read", raw_to_pictures, priority=300)
    app.connect("doctree-read", pages_of_results, priority=300)
    app.connect("doctree-read", proofs, priority=300)
    app.connect("doctree-read", titles_of_cards, priority=300)
    app.connect("doctree-read", titles_of_notebooks, priority=600)
    app.add_post_transform(ExerciseLinks)
    app.add_post_transform(Parts)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
