"""Notebooks as committed: executed top to bottom, readable in Colab, pointing at places that exist."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SITE = "https://fptlib.github.io/fptlib/"
COLAB = "https://colab.research.google.com/github/fptlib/fptlib/blob/main/notebooks/"
MOST_BYTES = 1_000_000
SETUP = """\
# Setup. In Colab this installs fptlib and keeps Colab's own torch; elsewhere it installs nothing.
import sys

if "google.colab" in sys.modules:
    %pip install -q --no-deps "fptlib @ git+https://github.com/fptlib/fptlib@main"

import fptlib
import torch

print("fptlib", fptlib.__version__, "| torch", torch.__version__)"""
TAGS = {
    "nbval-ignore-output",
    "raises-exception",
    "nbval-skip",
    "remove-output",
    "remove-input",
    "hide-input",
    "hide-output",
}
MYST = [r"\{[\w:-]+\}`", r"^`{3,}\{", r"^:{3,}\s*\{", r"^\([\w-]+\)=\s*$", r"^%\s"]
ABSOLUTE = re.compile(r"(?<![\w:./])/(?:home|root|tmp|work|Users|mnt|opt)/\w|[A-Z]:\\\\")


def cells(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def source(cell):
    return "".join(cell["source"])


def code_cells(path):
    return [cell for cell in cells(path) if cell["cell_type"] == "code"]


def outputs_text(cell):
    """All text of the stored outputs, pictures left out."""
    for output in cell["outputs"]:
        yield "".join(output.get("text", ""))
        for kind, data in output.get("data", {}).items():
            if kind.startswith("text/"):
                yield "".join(data)


def labels():
    text = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "book").glob("*.md"))
    return set(re.findall(r"^\s*:label:\s*(\S+)", text, re.M)) | set(re.findall(r"^\(([\w-]+)\)=", text, re.M))


def test_there_are_notebooks_and_each_is_in_the_book():
    toc = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    assert NOTEBOOKS
    for path in NOTEBOOKS:
        assert f"notebooks/{path.stem}" in toc, f"{path.name} is not in _toc.yml"


@pytest.fixture(params=NOTEBOOKS, ids=lambda p: p.stem)
def notebook(request):
    return request.param


def test_executed_top_to_bottom(notebook):
    counts = [cell["execution_count"] for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1)), f"run: make notebooks NB=notebooks/{notebook.name}"


def test_no_error_and_no_stderr(notebook):
    for number, cell in enumerate(code_cells(notebook), start=1):
        wanted = "raises-exception" in cell["metadata"].get("tags", [])
        for output in cell["outputs"]:
            assert output["output_type"] != "error" or wanted, f"code cell {number} ends in an error"
            assert output.get("name") != "stderr", (
                f"code cell {number} writes to stderr: {''.join(output['text'])[:80]}"
            )


def test_ids_kernel_and_metadata(notebook):
    book = json.loads(notebook.read_text(encoding="utf-8"))
    assert [cell["id"] for cell in book["cells"]] == [f"cell-{i:02d}" for i in range(1, len(book["cells"]) + 1)]
    assert book["metadata"]["kernelspec"]["name"] == "python3"
    assert book["metadata"]["language_info"] == {"name": "python"}
    for cell in book["cells"]:
        assert set(cell["metadata"]) <= {"tags"} and set(cell["metadata"].get("tags", [])) <= TAGS


def test_first_second_and_last_cell(notebook):
    first, second, *_, last = cells(notebook)
    head = source(first)
    assert first["cell_type"] == "markdown" and head.startswith("# ")
    assert f"({COLAB}{notebook.name})" in head, "the Colab link must name this very file"
    assert f"({SITE}book/{notebook.stem}.html" in head or re.search(rf"\({SITE}book/[\w-]+\.html", head), (
        "link the chapter"
    )
    assert source(second) == SETUP and "nbval-ignore-output" in second["metadata"]["tags"]
    assert "CC BY 4.0" in source(last) and "MIT" in source(last) and "Data" in source(last)


def test_plain_markdown_only(notebook):
    for cell in cells(notebook):
        if cell["cell_type"] == "markdown":
            for pattern in MYST:
                found = re.search(pattern, source(cell), re.M)
                assert not found, f"Colab would show {found[0]!r} raw; write plain Markdown"


def test_no_absolute_paths(notebook):
    for cell in cells(notebook):
        for text in [source(cell), *(outputs_text(cell) if cell["cell_type"] == "code" else ())]:
            found = ABSOLUTE.search(text)
            assert not found, f"an absolute path: ...{text[max(0, found.start() - 20) : found.end() + 20]}..."


def test_small(notebook):
    assert notebook.stat().st_size < MOST_BYTES


def test_links_into_the_book_resolve(notebook):
    known = labels()
    for cell in cells(notebook):
        if cell["cell_type"] != "markdown":
            continue
        for words, page, anchor in re.findall(rf"\[([^\]]*)\]\({SITE}([\w/.-]*)(?:#([\w-]+))?\)", source(cell)):
            stem = page.removesuffix(".html")
            exists = stem in ("", "book/index") or any((ROOT / f"{stem}{end}").exists() for end in (".md", ".ipynb"))
            assert exists, f"no page {page}"
            if anchor:
                assert anchor.removeprefix("equation-") in known, f"no label {anchor} on {page}"
                home = (ROOT / f"{stem}.md").read_text(encoding="utf-8")
                assert anchor.removeprefix("equation-") in home, f"{anchor} is not on {page}"
            assert not re.search(r"\b\d+\.\d+\b", words), f"[{words}]: link with words, numbers may move"


def test_named_results_exist(notebook):
    """`# tests <label>` names a result of the book."""
    known = labels()
    for cell in code_cells(notebook):
        for line in re.findall(r"#\s*tests ([^\n]+)", source(cell)):
            for label in re.findall(r"\b(?:thm|prp|lem|cor|def|alg|rem|exm|eq)-[a-z0-9-]*[a-z0-9]", line):
                assert label in known, f"the book has no {label}"


def test_notebook_asserts_something(notebook):
    assert any(re.search(r"^\s*assert ", source(cell), re.M) for cell in code_cells(notebook))


def test_comparison_is_on(notebook):
    """Strict nbval compares a cell only if it stores outputs: printing cells must not all be exempt."""
    compared = [
        cell
        for cell in code_cells(notebook)
        if cell["outputs"] and not {"nbval-ignore-output", "nbval-skip"} & set(cell["metadata"].get("tags", []))
    ]
    assert compared, "no output of this notebook is compared"
