"""Still figures of the theory pages: each is, byte for byte, a picture that a notebook drew."""

import base64
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STILLS = sorted((ROOT / "_static").glob("*.png"))


def pictures():
    """(notebook, PNG bytes) of every stored picture."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            for output in cell.get("outputs", []):
                if "image/png" in output.get("data", {}):
                    yield path.name, base64.b64decode("".join(output["data"]["image/png"]))


@pytest.mark.parametrize("still", STILLS, ids=lambda p: p.stem)
def test_static_figure_is_the_one_a_notebook_drew(still):
    drawn = [name for name, picture in pictures() if picture == still.read_bytes()]
    assert len(drawn) == 1, f"_static/{still.name} is a picture in {drawn or 'no notebook'}: copy it again"


def test_there_are_stills():
    assert len(STILLS) >= 7
