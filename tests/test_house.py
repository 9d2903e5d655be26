"""The house: who may import whom, what is public, what a docstring owes its reader. A broken rule fails here with its reason."""

import ast
import enum
import importlib.util
import inspect
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import torch

import fptlib
from fptlib import kernels

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "fptlib"

# The ladder: a file (or package) of fptlib may import only what stands above it.
LADDER = [
    "surrogates",
    "checks",
    "spec",
    "neurons",
    "compartments",
    "kernels",
    "scan",
    "result",
    "chunks",
    "brackets",
    "certificate",
    "tangent",
    "adjoints",
    "solvers",
    "iterations",
    "closed_form",
    "replay",
    "pointers",
    "auto",
    "device",
    "solve",
    "parallel",
    "nn",
]
# Beside the ladder: each may import what is named, and nothing on the ladder may import it.
ASIDE = {"theory": {"spec", "surrogates"}, "data": set(), "viz": set(), "exchange": {"spec", "neurons", "compartments"}}
ORACLES_MAY_IMPORT = {"numpy", "scipy", "math", "cmath", "fractions", "itertools", "dataclasses", "functools"}
MOST_LINES = 300

SOURCES = sorted(p for p in PACKAGE.rglob("*.py") if "__pycache__" not in p.parts)


def room(path):
    """The rung of a file: its own name, or that of its package."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path):
    """(line, full module name) of every import of a file, lazy ones included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = path.relative_to(ROOT).parent.parts
            base = package[: len(package) - node.level + 1] if node.level else ()
            stem = ".".join((*base, *([node.module] if node.module else [])))
            yield from ((node.lineno, f"{stem}.{alias.name}") for alias in node.names)


@cache
def labels_of_the_book():
    """Every label of the theory pages: theorems, sections, equations, exercises."""
    text = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "book").glob("*.md"))
    return set(re.findall(r"^\s*:label:\s*(\S+)", text, re.M)) | set(re.findall(r"^\(([\w-]+)\)=", text, re.M))


# ------------------------------------------------------------------------------------------------ imports


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_imports_obey_the_arrows(path):
    here = room(path)
    if here == "__init__":
        return
    assert here in LADDER or here in ASIDE, f"{here} has no rung: give it one in LADDER, above everything that uses it"
    allowed = ASIDE[here] if here in ASIDE else set(LADDER[: LADDER.index(here)])
    for line, name in imports(path):
        parts = name.split(".")
        if parts[0] != "fptlib" or len(parts) == 1:
            assert parts != ["fptlib"], f"{here}:{line} imports the front door; import the room it needs"
            continue
        assert parts[1] == here or parts[1] in allowed, f"{path.name}:{line}: {here} must not import {parts[1]}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_matplotlib_only_in_viz(path):
    found = [line for line, name in imports(path) if name.split(".")[0] in ("matplotlib", "plotly", "seaborn")]
    assert not found or room(path) == "viz", f"{path.name}:{found[0]} imports a plotting package; only viz.py may"


def test_importing_fptlib_needs_neither_triton_nor_matplotlib():
    heavy = ["triton", "matplotlib", "sklearn", "mlxtend", "pandas", "pooch", "scipy.io"]
    code = f"import sys, torch\nbefore = set(sys.modules)\nimport fptlib\nprint([m for m in {heavy} if m in set(sys.modules) - before])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", f"import fptlib also imports {done.stdout.strip()}; import it on first use"


@pytest.mark.parametrize("path", sorted((ROOT / "tests").glob("oracle*.py")), ids=lambda p: p.name)
def test_oracles_stand_on_their_own(path):
    for line, name in imports(path):
        top = name.split(".")[0]
        assert top in ORACLES_MAY_IMPORT or top.startswith("oracle"), (
            f"{path.name}:{line}: an oracle must not import {top}"
        )


# ------------------------------------------------------------------------------------------------ what is public


def api_page_names():
    text = (ROOT / "book" / "api.md").read_text(encoding="utf-8")
    return re.findall(r"^\.\. auto(?:function|class|exception)::\s+(\S+)", text, re.M)


def test_export_list_equals_api_page():
    on_page = {name.removeprefix("fptlib.") for name in api_page_names() if name.count(".") == 1}
    exported = set(fptlib.__all__)
    assert on_page == exported, (
        f"only exported: {sorted(exported - on_page)}; only on the page: {sorted(on_page - exported)}"
    )


def test_export_list_is_sorted_and_real():
    assert fptlib.__all__ == sorted(fptlib.__all__) and len(set(fptlib.__all__)) == len(fptlib.__all__)
    assert all(hasattr(fptlib, name) for name in fptlib.__all__)


def public_objects():
    """Exports, and everything else the API page shows."""
    seen, no_triton = {}, importlib.util.find_spec("triton") is None
    for name in [f"fptlib.{n}" for n in fptlib.__all__] + api_page_names():
        module, _, attribute = name.rpartition(".")
        if no_triton and attribute in kernels._LATER:
            continue
        seen[name] = getattr(__import__(module, fromlist=[attribute]), attribute)
    return sorted(seen.items())


TENSOR_WORDS = {"x", "v0", "u", "v", "s", "spikes", "gate", "drive", "membrane", "inputs", "history", "lower", "upper"}
SHAPE = re.compile(r"Shape:|\[(?:\.\.\.|[A-Za-z]\w*)(?:, ?(?:\.\.\.|[\w+\-*/ ]+))*\]|scalar")


def takes_tensors(value):
    if isinstance(value, type) and issubclass(value, (enum.Enum, Exception)):
        return False
    if isinstance(value, type) and issubclass(value, torch.nn.Module):
        return True
    return bool(TENSOR_WORDS & set(inspect.signature(value).parameters))


@pytest.mark.parametrize("name, value", public_objects(), ids=lambda v: v if isinstance(v, str) else "")
def test_docstring_has_shapes_and_a_place_in_the_book(name, value):
    text = inspect.getdoc(value) or ""
    assert text, f"{name} has no docstring"
    assert not takes_tensors(value) or SHAPE.search(text), (
        f"{name} takes tensors; its docstring names no shape such as [T, ...]"
    )
    line = re.search(r"Book:\s*(.+)", text)
    assert line, f"{name}: the docstring has no line 'Book: <label>'"
    named = re.findall(r"\b(?:ch|sec|thm|prp|lem|cor|def|alg|rem|exm|eq|ex)-[a-z0-9-]*[a-z0-9]", line[1])
    known = labels_of_the_book()
    assert named and set(named) <= known, f"{name}: the book has no label {sorted(set(named) - known) or line[1]}"


# ------------------------------------------------------------------------------------------------ manners of the code


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_no_stubs_no_swallowed_errors_no_asserts_for_users(path):
    text = path.read_text(encoding="utf-8")
    for word in ("TO" + "DO", "FIX" + "ME", "XX" + "X"):
        assert word not in text, f"{path.name} contains {word}"
    for node in ast.walk(ast.parse(text)):
        assert not isinstance(node, ast.Assert), f"{path.name}:{node.lineno}: assert is not for users; raise ValueError"
        if isinstance(node, ast.ExceptHandler):
            wide = node.type is None or (
                isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")
            )
            silent = all(isinstance(step, ast.Pass) for step in node.body)
            assert not (wide and silent), f"{path.name}:{node.lineno}: an error is swallowed"
        if isinstance(node, ast.Raise) and node.exc is not None:
            raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            stub = isinstance(raised, ast.Name) and raised.id == "NotImplementedError"
            assert not stub, f"{path.name}:{node.lineno}: a stub is not delivered"


@pytest.mark.parametrize("folder", ["fptlib", "book/_ext", "book/_tools"])
def test_files_stay_short(folder):
    for path in (ROOT / folder).rglob("*.py"):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= MOST_LINES, f"{path.relative_to(ROOT)} has {lines} lines; split it ({MOST_LINES} at most)"


def test_versions_agree():
    version = fptlib.__version__
    for name, pattern in {
        "pyproject.toml": r'^version = "([^"]+)"',
        "CITATION.cff": r'^version: "?([^"\n]+)"?',
        "_config.yml": r'^    release: "([^"]+)"',
        "CHANGELOG.md": r"^## (\d[^ \n]*)",
    }.items():
        found = re.search(pattern, (ROOT / name).read_text(encoding="utf-8"), re.M)
        assert found and found[1] == version, f"{name} says {found and found[1]}, fptlib says {version}"


def test_metadata_has_floors_only():
    """An exact pin of torch in the package would make Colab replace its own."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    needed = re.search(r"^dependencies = \[(.*?)\]", text, re.M | re.S)[1]
    assert "torch>=2.4" in needed and not re.search(r"==|<|~=", needed)
