"""Build, execute and normalise the notebooks: the one tool that writes `notebooks/*.ipynb`.

    python book/_tools/notebooks.py execute [PATH ...]     re-run in place, outputs stored, no timing metadata
    python book/_tools/notebooks.py from-py SRC DST        percent-format Python (`# %%`, `# %% [markdown]`) to a notebook

`# %% [tags: a, b]` sets cell tags. Cell ids are positional (`cell-01`, ...), so a re-run of an unchanged notebook changes no byte.
"""

import re
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def normalise(notebook):
    """Positional cell ids, one kernel name, no machine-dependent metadata."""
    for index, cell in enumerate(notebook.cells, start=1):
        cell["id"] = f"cell-{index:02d}"
        cell.metadata = {k: v for k, v in cell.metadata.items() if k == "tags"}
    notebook.metadata = {
        "kernelspec": KERNEL,
        "language_info": {"name": "python"},
        **{k: v for k, v in notebook.metadata.items() if k in ("accelerator", "colab")},
    }
    return notebook


def merge_streams(notebook):
    """Consecutive pieces of one stream become one output, so that buffering never shows."""
    for cell in notebook.cells:
        merged = []
        for output in cell.get("outputs", []):
            if (
                merged
                and output.output_type == "stream"
                and merged[-1].output_type == "stream"
                and merged[-1].name == output.name
            ):
                merged[-1].text += output.text
            else:
                merged.append(output)
        if cell.cell_type == "code":
            cell.outputs = merged


def execute(path):
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
    merge_streams(notebook)
    nbformat.write(normalise(notebook), path)


def from_py(source, target):
    cells = []
    for block in re.split(r"^# %%", source.read_text(), flags=re.M)[1:]:
        head, _, body = block.partition("\n")
        tags = re.search(r"\[tags:\s*([^\]]*)\]", head)
        if "[markdown]" in head:
            text = "\n".join(re.sub(r"^# ?", "", line) for line in body.strip("\n").split("\n"))
            cell = nbformat.v4.new_markdown_cell(text.strip())
        else:
            cell = nbformat.v4.new_code_cell(body.strip("\n"))
            # Magics are written as comments so that the source stays valid Python.
            cell.source = re.sub(r"^(\s*)# (%\w)", r"\1\2", cell.source, flags=re.M)
        if tags:
            cell.metadata["tags"] = [t.strip() for t in tags.group(1).split(",")]
        cells.append(cell)
    nbformat.write(normalise(nbformat.v4.new_notebook(cells=cells)), target)


def main(arguments):
    match arguments:
        case ["execute", *paths]:
            for path in [Path(p).resolve() for p in paths] or sorted((ROOT / "notebooks").glob("*.ipynb")):
                execute(path)
                print("executed", path.name, flush=True)
        case ["from-py", source, target]:
            from_py(Path(source), Path(target))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
