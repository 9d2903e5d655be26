"""The example on the title page and in the README runs, and prints what its comment says."""

import re
from pathlib import Path

import pytest
import torch

from fptlib import FixedPoint, lif, solve

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("page", ["README.md", "book/index.md"])
def test_example_runs_and_prints_what_it_says(page, capsys):
    code = re.search(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.S)[1]
    with torch.random.fork_rng():
        exec(compile(code, page, "exec"), {})
    said = re.findall(r"print\(.*\)\s+# (.+)$", code, re.M)
    assert said and capsys.readouterr().out.splitlines() == said


def test_the_warning_below_the_example_is_true():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        x = 0.40 * torch.rand(1000, 64, dtype=torch.float64)
    harder = solve(lif(decay=0.8), x, FixedPoint(sweeps=None))
    assert harder.sweeps == 164 and harder.certificate.exact


def test_both_pages_show_the_same_example():
    shown = [
        re.search(r"```python\n(.*?)```", (ROOT / p).read_text(encoding="utf-8"), re.S)[1]
        for p in ("README.md", "book/index.md")
    ]
    assert shown[0] == shown[1]
