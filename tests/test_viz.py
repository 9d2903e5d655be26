"""The book's figures: a style that writes the same bytes twice, and helpers that refuse what they cannot draw."""

import io

import matplotlib
import numpy as np
import pytest
import torch

matplotlib.use("agg")
from matplotlib import pyplot as plt  # noqa: E402

from fptlib import viz  # noqa: E402


@pytest.fixture(autouse=True)
def clean():
    viz.use_book_style()
    yield
    plt.close("all")
    matplotlib.rcdefaults()


def test_style_is_transparent_and_reproducible():
    def picture():
        figure, ax = plt.subplots()
        ax.plot([0, 1], [1, 0])
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
        return buffer.getvalue()

    first, second = picture(), picture()
    assert first == second and len(first) < 40_000
    pixels = plt.imread(io.BytesIO(first))
    assert pixels.shape[2] == 4 and pixels[0, 0, 3] == 0


def test_cycle_tells_lines_apart_without_colour():
    cycle = list(matplotlib.rcParams["axes.prop_cycle"])
    assert len({c["color"] for c in cycle}) == len(viz.PALETTE) == len(cycle)
    assert len({c["linestyle"] for c in cycle[:4]}) == 4


@pytest.mark.parametrize("shape", [(5,), (5, 3)])
def test_raster_draws_one_tick_per_spike(shape):
    spikes = torch.zeros(shape)
    spikes[1] = 1
    spikes[4] = 1
    ax = viz.raster(spikes)
    assert len(ax.collections[0].get_segments()) == int(spikes.sum())
    assert ax.get_xlim() == (-0.5, 4.5)


def test_sweep_heatmap_shows_the_distance_to_the_reference():
    history = torch.arange(6.0).reshape(2, 3)
    image = viz.sweep_heatmap(history, reference=history[1])
    assert np.array_equal(image.get_array(), [[3, 3, 3], [0, 0, 0]])
    assert np.array_equal(viz.sweep_heatmap(history).get_array(), history)


def test_bracket_plot_draws_band_and_truth():
    ax = viz.bracket_plot([0, 0, 1], [1, 0, 1], [0, 0, 1])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["bracket", "sequential neuron"]
    assert viz.bracket_plot([0.0], [1.0]).get_xlabel() == "time step"


@pytest.mark.parametrize(
    "draw, message",
    [
        (lambda: viz.raster(torch.zeros(2, 3, 4)), r"shape \[2, 3, 4\]; it wants \[T\] or \[T, N\]"),
        (lambda: viz.sweep_heatmap(torch.zeros(3)), r"it wants history \[K, T\]"),
        (lambda: viz.sweep_heatmap(torch.zeros(2, 3), torch.zeros(4)), r"shapes \[\[2, 3\], \[4\]\]"),
        (lambda: viz.bracket_plot([0, 1], [1]), r"shapes \[2\] and \[1\]; it wants \[T\] for all"),
    ],
)
def test_refusals_say_what_is_wanted(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
