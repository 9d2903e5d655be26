"""Committed results: readable by name, and each says where it comes from."""

import json
import math

import pytest

from fptlib.data import results
from fptlib.data.compact import expanded
from fptlib.data.results import CHECKOUT

FILES = sorted(CHECKOUT.glob("*.json"))
MOST_BYTES = 4_000_000  # the two grids hold thousands of trainings


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_result_has_its_provenance(path):
    content = results(path.stem)
    header = content["header"]
    assert path.stat().st_size < MOST_BYTES
    for key in ("device", "date", "commit", "command"):
        assert header.get(key), f"{path.name}: the header has no {key}"
    numbers = [v for r in content.get("records", []) for v in r.values() if isinstance(v, float)]
    assert all(math.isfinite(v) for v in numbers)
    assert expanded(json.loads(path.read_text())) == content


def test_an_unknown_name_lists_the_known_ones():
    assert FILES
    with pytest.raises(FileNotFoundError, match=FILES[0].stem):
        results("no-such-file")
