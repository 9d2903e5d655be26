"""Published labels keep their number and page. `book/theorems.json` is what was published; the build says what is true now."""

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.built
ROOT = Path(__file__).resolve().parents[1]
HOW = "If this is meant, run `make lock` and say in CHANGELOG.md what moved and why."


def read(path):
    assert path.exists(), f"{path} is missing: run `make html` (built numbers) or `make lock` (published numbers)"
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def locked():
    return read(ROOT / "book" / "theorems.json")


@pytest.fixture(scope="module")
def built():
    return read(ROOT / "_build" / "html" / "theorems.json")


def test_no_published_label_disappears(locked, built):
    gone = sorted(set(locked) - set(built))
    assert not gone, f"published labels that are gone: {gone}. {HOW}"


def test_no_published_number_or_page_changes(locked, built):
    for field in ("kind", "number", "page"):
        moved = {
            k: (v[field], built[k][field]) for k, v in locked.items() if k in built and built[k][field] != v[field]
        }
        assert not moved, f"published {field} changed (label: was, is): {moved}. {HOW}"


def test_every_label_is_locked(locked, built):
    new = sorted(set(built) - set(locked))
    assert not new, f"new labels that are not locked yet: {new[:20]}. {HOW}"


def test_numbers_are_those_on_the_page(built):
    for label, entry in built.items():
        text = (ROOT / "_build" / "html" / entry["page"]).read_text(encoding="utf-8")
        shown = (
            f"({entry['number']})<a" if entry["kind"] == "equation" else f"{entry['kind'].title()} {entry['number']} "
        )
        assert shown in text and f'id="{"equation-" if entry["kind"] == "equation" else ""}{label}"' in text, label


def test_theorem_like_labels_are_tested():
    """Every theorem, proposition, lemma and corollary has a test whose name begins with its label."""
    names = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "tests").rglob("test_*.py"))
    results = [
        k
        for k, v in read(ROOT / "_build" / "html" / "theorems.json").items()
        if k.split("-")[0] in ("thm", "prp", "lem", "cor")
    ]
    bare = [label for label in results if f"def test_{label.replace('-', '_')}" not in names]
    assert not bare, f"results without a test: {bare}"
