"""What this book adds to Sphinx: permanent links, the lock of numbers, a citation box, the list of results, local MathJax.

After every build `_build/html/theorems.json` says, for each label, what it is, the number printed on its page, its title and its page.
Numbers are read from the finished pages, so they are what a reader sees. `book/theorems.json` is the published state.
"""

import html
import importlib.util
import json
import re
import shutil
from pathlib import Path

from docutils import nodes
from sphinx.util import logging

log = logging.getLogger(__name__)

RESULT_KINDS = {"thm": "Theorem", "prp": "Proposition", "lem": "Lemma", "cor": "Corollary"}
DIRECTIVE = re.compile(
    r"^[`:]{3,}\{(?:prf:)?(?P<kind>theorem|proposition|lemma|corollary)\}[ \t]*(?P<title>[^\n]*)\n"
    r"(?:[ \t]*:(?!label:)[\w-]+:[^\n]*\n)*[ \t]*:label:[ \t]*(?P<label>\S+)",
    re.M,
)
PROOF_BOX = re.compile(
    r'<div class="proof (?P<kind>[\w-]+) admonition" id="(?P<id>[^"]+)">\s*<p class="admonition-title">'
    r'<span class="caption-number">(?P<name>[A-Z][a-z]+) (?P<number>[\d.A-Z]*) ?</span>(?P<title>.*?)</p>',
    re.S,
)
EXERCISE_BOX = re.compile(
    r'<div class="(?P<class>[^"]*\bexercise\b[^"]*)" id="(?P<id>[^"]+)">\s*'
    r'<p class="admonition-title"><span class="caption-number">(?P<name>Exercise) (?P<number>[\d.A-Z]*) ?</span>(?P<title>.*?)</p>',
    re.S,
)
EQUATION = re.compile(r'<span class="eqno">\((?P<number>[^)]*)\)<a class="headerlink" href="#(?P<id>equation-[^"]+)"')
LINK = '<a class="headerlink result-link" href="#{id}" title="Permanent link to this {name}" aria-label="Permanent link to this {name}">#</a></p>'


# ---------------------------------------------------------------------------------------------------- pages


def plain(text):
    """The words of a piece of HTML, without tags and outer brackets."""
    return html.unescape(re.sub(r"<[^>]+>", "", text)).strip().removeprefix("(").removesuffix(")").strip()


def add_permalinks(body):
    """A visible link on every numbered box; ids that sphinx-proof and sphinx-exercise repeat on a page become classes."""
    for box in (PROOF_BOX, EXERCISE_BOX):
        body = box.sub(lambda m: m[0].removesuffix("</p>") + LINK.format(id=m["id"], name=m["name"].lower()), body)
    body = re.sub(r'(<section(?: class="[^"]*")?) id="(?:proof|exercise|solution)-content"', r"\1", body)
    body = body.replace('<div class="proof admonition" id="proof">', '<div class="proof admonition">')
    return re.sub(r'(<div class="proof admonition">\s*<p>)Proof\.', r"\1<strong>Proof.</strong>", body)


def citation(app, pagename, title):
    """The BibTeX entry of one page."""
    config = app.config
    key = "fptlib:" + pagename.split("/")[-1]
    rows = {
        "author": "{The fptlib authors}",
        "title": title,
        "booktitle": config.html_title,
        "year": config.fptbook_date[:4],
        "note": f"Version {config.release}, {config.fptbook_date}",
        "url": config.html_baseurl.rstrip("/") + f"/{pagename}.html",
    }
    lines = ",\n".join(f"  {name:<9} = {{{value}}}" for name, value in rows.items())
    return f"@incollection{{{key},\n{lines}\n}}"


def finish_page(app, pagename, templatename, context, doctree):
    """Permalinks in the body, and the citation box below it."""
    if app.builder.format != "html" or doctree is None or not context.get("body"):
        return
    title = plain(re.sub(r'<span class="section-number">.*?</span>', "", context.get("title", "")))
    entry = html.escape(citation(app, pagename, title))
    context["body"] = add_permalinks(context["body"]) + (
        '\n<details class="cite-box"><summary>Cite this page</summary>\n'
        "<p>Labels and addresses are permanent; numbers are locked from release to release.</p>\n"
        f'<div class="highlight-bibtex notranslate"><div class="highlight"><pre>{entry}</pre></div></div></details>\n'
    )


def no_live_code(app, pagename, templatename, context, doctree):
    """The scripts of the live-code menu are left out: they would ask the network, and they arrive twice."""
    context["script_files"] = [
        script
        for script in context.get("script_files", [])
        if "thebe" not in str(script).lower() + str(getattr(script, "attributes", {})).lower()
    ]


def escape(text):
    """Docstrings are plain text: characters that reStructuredText would read as markup are shown as they are."""
    parts = re.split(r"(``.*?``)", text)
    parts[::2] = [
        re.sub(r"([A-Za-z0-9])_(?=\W|$)", r"\1\\_", re.sub(r"([*|\\])", r"\\\1", part)) for part in parts[::2]
    ]
    return "".join(parts)


def docstring_links(app, what, name, obj, options, lines):
    """Short sections on one line (`Args: ...`) become paragraphs, and `Book: label` a link to that place in the book."""
    result, depth = [], None
    for line in lines:
        indent = len(line) - len(line.lstrip())
        head = re.match(r"\s*(Args|Returns|Raises|Shape|Equation|Attributes): +(\S.*)$", line)
        book = re.search(r"(.*?)\bBook:\s*(.+?)\.?$", line)
        if book:
            labels = re.findall(r"(?:ch|sec|thm|prp|lem|cor|def|alg|rem|exm|eq|ex)-[a-z0-9-]*[a-z0-9]", book[2])
            roles = {"ch": "ref", "sec": "ref", "ex": "ref", "eq": "eq"}
            links = [f":{roles.get(label.split('-')[0], 'prf:ref')}:`{label}`" for label in labels]
            before = [escape(book[1].rstrip()), ""] if book[1].strip() else [""]
            result += [*before, f"{' ' * indent}In the book: {', '.join(links) if links else book[2]}."]
            depth = None
        elif head:
            result += ["", f"{' ' * indent}**{head[1]}.** {escape(head[2])}"]
            depth = indent
        elif depth is not None and line.strip() and indent > depth:
            result.append(" " * depth + escape(line.strip()))
        else:
            depth = None
            result.append(line if line.lstrip().startswith(">>>") else escape(line))
    lines[:] = result


# ---------------------------------------------------------------------------------------------------- list of results


def evidence(root):
    """Label -> names of tests, and label -> notebooks, found by name in tests/ and by `# tests <label>` in notebooks/."""
    tests, notebooks = {}, {}
    for path in sorted((root / "tests").rglob("test_*.py")):
        for name in re.findall(r"^\s*def (test_\w+)", path.read_text(encoding="utf-8"), re.M):
            tests.setdefault(name.removeprefix("test_"), []).append((path.relative_to(root).as_posix(), name))
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                for line in re.findall(r"#\s*tests ([^\n]+)", "".join(cell["source"])):
                    for label in re.findall(r"[a-z]+-[a-z0-9-]*[a-z0-9]", line):
                        notebooks.setdefault(label, {})[path.stem] = True
    return tests, notebooks


def tests_of(label, tests):
    """The tests whose name is the label, or goes on after it."""
    stem = label.replace("-", "_")
    return [test for name, found in tests.items() for test in found if name == stem or name.startswith(stem + "_")]


def results_of(root, found_docs):
    """(page, kind, title, label) of every theorem-like statement, in the order of the book."""
    for doc in sorted(d for d in found_docs if d.startswith("book/")):
        path = root / f"{doc}.md"
        if path.exists():
            for match in DIRECTIVE.finditer(path.read_text(encoding="utf-8")):
                yield doc, match["kind"], match["title"].strip(), match["label"]


def results_table(app):
    """The table of results in MyST, numbers left to references so that they are always the printed ones."""
    root, base = Path(app.srcdir), app.config.fptbook_source
    tests, notebooks = evidence(root)
    rows, page = [], None
    for doc, _, title, label in results_of(root, app.env.found_docs):
        if doc != page:
            page = doc
            title_of_page = re.search(r"^# (.+)$", (root / f"{doc}.md").read_text(encoding="utf-8"), re.M)[1]
            rows += ["", f"## {title_of_page}", "", "| result | says | tested in | shown in |", "|---|---|---|---|"]
        title = re.sub(r"(?<!\\)\|", r"\\|", title)
        code = "<br>".join(f"[`{name}`]({base}/{path})" for path, name in tests_of(label, tests)) or "proof only"
        books = ", ".join(
            f"{{doc}}`{n[:2]} </notebooks/{n}>`"
            for n in notebooks.get(label, {})
            if f"notebooks/{n}" in app.env.found_docs
        )
        rows.append(f"| {{prf:ref}}`{label}` | {title} | {code} | {books or '–'} |")
    return "\n".join(rows)


def fill_results(app, docname, source):
    """The marker line of book/results.md becomes the table."""
    if docname == "book/results":
        source[0] = source[0].replace("% results-table", results_table(app))


def reread_results(app, env, added, changed, removed):
    """The table depends on other files, so its page is read again in every build."""
    return ["book/results"] if "book/results" in env.found_docs else []


# ---------------------------------------------------------------------------------------------------- numbers, MathJax


def collect(app):
    """Label -> kind, number, title, page, read from the finished pages."""
    found = {}
    for doc in sorted(app.env.found_docs):
        page = Path(app.outdir) / f"{doc}.html"
        text = page.read_text(encoding="utf-8") if page.exists() else ""
        for box in (PROOF_BOX, EXERCISE_BOX):
            for m in box.finditer(text):
                title = plain(m["title"].split('<a class="headerlink result-link"')[0])
                found[m["id"]] = {
                    "kind": m["name"].lower(),
                    "number": m["number"],
                    "title": title,
                    "page": f"{doc}.html",
                }
        for m in EQUATION.finditer(text):
            label = m["id"].removeprefix("equation-")
            found[label] = {"kind": "equation", "number": m["number"], "title": "", "page": f"{doc}.html"}
    return found


def finish_build(app, exception):
    """Write the numbers, and put MathJax beside the pages."""
    if exception or app.builder.format != "html":
        return
    text = json.dumps(collect(app), indent=1, sort_keys=True, ensure_ascii=False)
    (Path(app.outdir) / "theorems.json").write_text(text + "\n", encoding="utf-8")
    copy_mathjax(Path(app.outdir) / "_static" / app.config.mathjax_path)


def copy_mathjax(target):
    """One file of MathJax from an installed package: not committed, and nothing is asked of the network."""
    package = importlib.util.find_spec("sphinx-mathjax-offline")
    if package is None:
        raise RuntimeError("The package sphinx-mathjax-offline is missing: install requirements.lock (`make install`).")
    source = Path(package.submodule_search_locations[0]) / "static" / "mathjax" / target.name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def only_named_scripts(app, config):
    """Jupyter Book loads every script of _static on every page; here a page names the script it needs."""
    config.html_js_files = []


def describe_images(app, doctree):
    """A plot of a notebook is described by the sentence that follows it; other images need an :alt: of their own."""
    waiting = []
    for node in doctree.findall():
        if isinstance(node, nodes.image) and not node.get("alt"):
            waiting.append(node)
        elif isinstance(node, nodes.paragraph) and waiting:
            sentence = re.split(r"(?<=[.!?:])\s", node.astext().replace("\n", " "))[0]
            for image in waiting:
                image["alt"] = sentence.replace("$", "").replace("\\", "")
            waiting = []
    for image in waiting:
        log.warning("image %s has no text alternative", image.get("uri"), location=image)


def setup(app):
    app.add_config_value("fptbook_date", "", "html")
    app.add_config_value("fptbook_source", "https://github.com/fptlib/fptlib/blob/main", "env")
    app.connect("config-inited", only_named_scripts, priority=900)
    app.connect("source-read", fill_results)
    app.connect("env-get-outdated", reread_results)
    app.connect("autodoc-process-docstring", docstring_links, priority=400)
    app.connect("doctree-read", describe_images)
    app.connect("html-page-context", finish_page)
    app.connect("html-page-context", no_live_code, priority=950)
    app.connect("build-finished", finish_build)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
