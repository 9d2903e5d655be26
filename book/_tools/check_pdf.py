"""Is the PDF whole? `python book/_tools/check_pdf.py BOOK.pdf [theorems.json]` reads its text with pdftotext and says what is missing."""

import json
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RESULTS = {"theorem", "proposition", "lemma", "corollary", "definition"}
LEAST_PAGES = 50


def text_of(pdf):
    """The words of the PDF in reading order, and the number of its pages (each ends with a form feed)."""
    text = subprocess.run(
        ["pdftotext", "-enc", "UTF-8", str(pdf), "-"], check=True, capture_output=True, text=True
    ).stdout
    return text, text.count("\f")


def squeeze(text):
    """Letters and digits only: line breaks, hyphens and the spelling of mathematics do not count."""
    text = unicodedata.normalize("NFKD", text)
    return re.sub(r"[\W_]+", "", text).lower()


def missing(text, statements):
    """Statements whose kind, number and title do not stand together in the text. Mathematics in a title is left out."""
    flat = squeeze(text)
    for label, entry in statements.items():
        words = re.split(r"\\\(.*?\\\)|\$.*?\$", entry["title"])
        head = squeeze(f"{entry['kind']} {entry['number']} {words[0]}")
        if entry["kind"] in RESULTS and head not in flat:
            yield f"{entry['kind']} {entry['number']} ({entry['title']}), label {label}"


def main(pdf, numbers=None):
    numbers = Path(numbers) if numbers else ROOT / "_build" / "html" / "theorems.json"
    numbers = numbers if numbers.exists() else ROOT / "book" / "theorems.json"
    text, pages = text_of(pdf)
    problems = [f"unresolved reference on page {page}" for page, body in enumerate(text.split("\f"), 1) if "??" in body]
    problems += [f"not in the PDF: {what}" for what in missing(text, json.loads(numbers.read_text(encoding="utf-8")))]
    if pages <= LEAST_PAGES:
        problems.append(f"{pages} pages only; more than {LEAST_PAGES} were expected")
    print(
        "\n".join(problems)
        or f"{pdf}: {pages} pages, no open reference, every statement of {numbers.name} with its number and title"
    )
    return bool(problems)


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
