"""The built pages: internal links and anchors, text alternatives, unique ids, nothing from the network. Needs `make html`."""

import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytestmark = pytest.mark.built
ROOT = Path(__file__).resolve().parents[1]
HTML = ROOT / "_build" / "html"
SITE = "https://fptlib.github.io/fptlib/"
# Ids the theme repeats on every page; they are not targets of any link of ours.
THEME_IDS = {"searchbox", "search-input", "pst-search-dialog"}


class Page(HTMLParser):
    """Links, ids, images and what is loaded, of one page."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.links, self.ids, self.images, self.loaded = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        at = dict(attributes)
        if at.get("id"):
            self.ids.append(at["id"])
        if tag == "a" and at.get("href"):
            self.links.append(at["href"])
        if tag == "img":
            self.images.append(at)
        if tag in ("script", "img", "iframe", "source") and at.get("src"):
            self.loaded.append(at["src"])
        if tag == "link" and at.get("href") and at.get("rel") in ("stylesheet", "preload", "icon"):
            self.loaded.append(at["href"])


@cache
def page(path):
    return Page(path.read_text(encoding="utf-8"))


def pages():
    found = sorted(p for p in HTML.rglob("*.html") if "_static" not in p.parts and "_sources" not in p.parts)
    assert found, "there is no built book: run `make html` first"
    return found


def pages_of_the_book():
    return [p for p in pages() if p.parent.name in ("book", "notebooks")]


def test_internal_links_and_anchors():
    broken = []
    for path in pages():
        for link in page(path).links:
            parts = urlsplit(link)
            if link.startswith(SITE):
                target, anchor = HTML / (unquote(parts.path).removeprefix("/fptlib/") or "index.html"), parts.fragment
            elif parts.scheme or link.startswith("//"):
                continue
            elif path.name == "404.html":
                target, anchor = HTML / unquote(parts.path).removeprefix("/fptlib/"), parts.fragment
            else:
                target, anchor = (path.parent / unquote(parts.path)).resolve() if parts.path else path, parts.fragment
            if target.is_dir():
                target = target / "index.html"
            if not target.exists():
                broken.append(f"{path.relative_to(HTML)}: {link} leads nowhere")
            elif path.name == "404.html" and anchor == "main-content":
                continue  # the theme's link to the text of the page itself
            elif anchor and target.suffix == ".html" and unquote(anchor) not in page(target).ids:
                broken.append(f"{path.relative_to(HTML)}: {link} has no such anchor")
    assert not broken, "\n".join(broken[:40])


def test_every_image_has_a_text_alternative():
    silent = [
        f"{path.relative_to(HTML)}: {image.get('src', '')[:80]}"
        for path in pages_of_the_book()
        for image in page(path).images
        if not image.get("alt", "").strip()
    ]
    assert not silent, "\n".join(silent)


def test_ids_are_unique():
    repeated = []
    for path in pages_of_the_book():
        ids = page(path).ids
        repeated += [
            f"{path.relative_to(HTML)}: {name}" for name in sorted({n for n in ids if ids.count(n) > 1} - THEME_IDS)
        ]
    assert not repeated, "\n".join(repeated[:40])


def test_nothing_is_loaded_from_the_network():
    outside = [
        f"{path.relative_to(HTML)}: {source}"
        for path in pages()
        for source in page(path).loaded
        if urlsplit(source).scheme in ("http", "https") or source.startswith("//")
    ]
    assert not outside, "\n".join(outside)


def test_math_is_drawn_by_a_local_copy():
    for path in pages_of_the_book():
        for source in page(path).loaded:
            if "mathjax" in source.lower():
                assert (path.parent / source.split("?")[0]).resolve().stat().st_size > 1_000_000


def test_no_unresolved_markup_is_left():
    """A role or directive that MyST did not understand would be printed as it was written."""
    left = []
    for path in pages_of_the_book():
        body = re.sub(r"<(script|pre|code)\b.*?</\1>", "", path.read_text(encoding="utf-8"), flags=re.S)
        left += [
            f"{path.relative_to(HTML)}: {m}" for m in re.findall(r"\{(?:prf:ref|ref|eq|doc|cite:\w+|math)\}", body)
        ]
    assert not left, "\n".join(left)


def test_each_page_can_be_cited_and_has_a_description():
    for path in pages_of_the_book():
        text = path.read_text(encoding="utf-8")
        assert '<details class="cite-box">' in text and "@incollection{fptlib:" in text, path.name
        if path.parent.name == "book":
            assert re.search(r'<meta [^>]*name="description"', text), f"{path.name} has no description"
