"""Stills of the moving figures for the PDF: `python book/_tools/print_figures.py` writes book/_print/NAME.pdf for each script.

Needs Chromium on the PATH. Run it again after a change of a script in _static; the PDFs are committed.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WIDTH = 720  # CSS pixels: the width of a page of the book
PAGE = """<!doctype html><meta charset="utf-8"><style>
@page {{ size: {width}px {height}px; margin: 0 }}
#frame {{ overflow: hidden }}
html, body {{ margin: 0; padding: 0; background: white; color: #1c2430; font-family: "DejaVu Sans Condensed", sans-serif;
  width: {width}px; --pst-color-text-base: #1c2430; --pst-color-primary: #0f4c81; --pst-color-secondary: #b4540a }}
input, select, button, label:has(select), label:has([type=checkbox]) {{ display: none !important }}
</style><div id="frame">{body}</div>{scripts}
<script>addEventListener("load", () => setTimeout(() => {{
  document.documentElement.dataset.height = Math.ceil(Math.max(document.getElementById("frame").getBoundingClientRect().height, document.body.scrollHeight)) + 16
}}, 500))</script>"""


def chromium(*arguments):
    """One run of the browser, without a window and without the network."""
    name = next((n for n in ("chromium", "chromium-browser", "google-chrome") if shutil.which(n)), None)
    if name is None:
        sys.exit("Chromium is missing: the stills in book/_print stay as they are.")
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--allow-file-access-from-files",
        "--virtual-time-budget=4000",
    ]
    return subprocess.run([name, *options, *arguments], check=True, capture_output=True, text=True).stdout


def still(scripts, body, target):
    """The figure is laid out once to learn its height, and once more on a page of that size."""
    scripts = "".join(f'<script src="{(ROOT / name).as_uri()}"></script>' for name in scripts)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "figure.html"
        height = 900
        for last in (False, True):
            page.write_text(PAGE.format(width=WIDTH, height=height, body=body, scripts=scripts), encoding="utf-8")
            if not last:
                height = int(
                    re.search(
                        r'data-height="(\d+)"', chromium(f"--window-size={WIDTH},900", "--dump-dom", page.as_uri())
                    )[1]
                )
        chromium(f"--window-size={WIDTH},{height}", "--no-pdf-header-footer", f"--print-to-pdf={target}", page.as_uri())


def main():
    """Every raw block of the book that loads a script becomes one PDF, named after the class or id of its first box."""
    folder = ROOT / "book" / "_print"
    folder.mkdir(exist_ok=True)
    for path in sorted((ROOT / "book").glob("*.md")):
        for block in re.findall(r"^```\{raw\} html\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S):
            scripts = re.findall(r'<script src="\.\./(_static/[\w-]+\.js)"', block)
            if scripts:
                name = re.search(r'<div (?:class|id)="([\w-]+)"', block)[1]
                body = re.sub(r"<(script|noscript).*?</\1>", "", block, flags=re.S)
                still(scripts, body, folder / f"{name}.pdf")
                print(f"book/_print/{name}.pdf")


if __name__ == "__main__":
    main()
