"""Figures of the book: one style and three small helpers. The only file of fptlib that may import matplotlib."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler

# Okabe and Ito's palette: told apart with the common colour-vision deficiencies; the pale yellow is left out
# because it disappears on white.
PALETTE = {
    "blue": "#0072B2",
    "orange": "#D55E00",
    "green": "#009E73",
    "purple": "#AA4499",
    "sky": "#3A9AD9",
    "amber": "#B07D00",
    "grey": "#5F6770",
}
HEAT = "viridis"  # perceptually even, readable without colour
INK = "#1C2430"
DPI = 110  # fixed, so that a re-run writes the same bytes and a figure stays below about 60 kB


def use_book_style():
    """Switch matplotlib to the book's style: quiet axes, colour-blind-safe cycle, transparent and reproducible PNGs.

    Equation: none.

    Args:
        None.

    Returns:
        None; matplotlib's global settings are changed. Shape: no tensors.

    Example:
        >>> from fptlib import viz
        >>> viz.use_book_style()

    Book: ch-api
    """
    matplotlib.rcParams.update(matplotlib.rcParamsDefault | {"backend": matplotlib.rcParams["backend"]})
    matplotlib.rcParams.update(
        {
            "figure.figsize": (6.6, 3.2),
            "figure.dpi": DPI,
            "figure.constrained_layout.use": True,
            "figure.facecolor": "none",
            "axes.facecolor": "none",
            "savefig.facecolor": "none",
            "savefig.dpi": DPI,
            "savefig.transparent": True,
            "font.family": "DejaVu Sans",  # ships with matplotlib: the same glyphs on every machine
            "font.size": 10,
            "axes.titlesize": 11,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.labelsize": 10,
            "axes.edgecolor": INK,
            "axes.labelcolor": INK,
            "text.color": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.linewidth": 0.8,
            "axes.grid": False,
            "lines.linewidth": 1.6,
            "lines.markersize": 4.5,
            "legend.frameon": False,
            "legend.fontsize": 9,
            "image.cmap": HEAT,
            "axes.prop_cycle": cycler(color=list(PALETTE.values()))
            + cycler(linestyle=["-", "--", "-.", ":", "-", "--", ":"]),
        }
    )


def _array(values):
    """A NumPy array from a tensor or anything array-like."""
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)


def raster(spikes, ax=None, color=None, label=None):
    """Draw a spike raster: one row per neuron, one tick per spike.

    Equation: a tick at (t, n) where s_t of neuron n is non-zero.

    Args:
        spikes: [T] or [T, N], zeros and ones (no unit).
        ax: matplotlib axes; the current ones if None.
        color, label: as in matplotlib.

    Returns:
        The axes. Shape: [T, N] in, none out.

    Raises:
        ValueError: if spikes has more than two axes.

    Example:
        >>> raster(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))  # doctest: +SKIP

    Book: ch-api
    """
    trains = _array(spikes)
    if trains.ndim == 1:
        trains = trains[:, None]
    if trains.ndim != 2:
        raise ValueError(
            f"raster got spikes of shape {list(trains.shape)}; it wants [T] or [T, N]. Flatten or select neurons first."
        )
    ax = plt.gca() if ax is None else ax
    time, neuron = np.nonzero(trains)
    ax.vlines(time, neuron - 0.4, neuron + 0.4, color=color or PALETTE["blue"], linewidth=1.4, label=label)
    ax.set(xlim=(-0.5, len(trains) - 0.5), ylim=(trains.shape[1] - 0.5, -0.5), xlabel="time step", ylabel="neuron")
    return ax


def sweep_heatmap(history, reference=None, ax=None, label="membrane"):
    """Draw how a trajectory changes sweep by sweep: time to the right, sweeps downwards.

    Equation: the picture of U^(1), ..., U^(K); with a reference, of |U^(k) - U|.

    Args:
        history: [K, T], one row per sweep (units of the membrane).
        reference: [T], the trajectory to compare with; None draws the rows themselves.
        ax: matplotlib axes; the current ones if None.
        label: text of the colour bar.

    Returns:
        The image. Shape: [K, T] in, none out.

    Raises:
        ValueError: if the shapes do not fit.

    Example:
        >>> sweep_heatmap(torch.zeros(4, 32))  # doctest: +SKIP

    Book: ch-iteration
    """
    rows = _array(history)
    if rows.ndim != 2 or (reference is not None and _array(reference).shape != rows.shape[1:]):
        got = list(rows.shape) if reference is None else [list(rows.shape), list(_array(reference).shape)]
        raise ValueError(f"sweep_heatmap got shapes {got}; it wants history [K, T] and reference [T]. Pick one neuron.")
    if reference is not None:
        rows = np.abs(rows - _array(reference))
    ax = plt.gca() if ax is None else ax
    image = ax.imshow(
        rows, aspect="auto", interpolation="nearest", extent=(-0.5, rows.shape[1] - 0.5, len(rows) + 0.5, 0.5)
    )
    ax.set(xlabel="time step", ylabel="sweep")
    ax.figure.colorbar(image, ax=ax, label=label)
    return image


def bracket_plot(lower, upper, truth=None, ax=None):
    """Draw a bracket around a trajectory: the band between two sweeps, and the truth inside it.

    Equation: lower_t <= u_t <= upper_t for every t.

    Args:
        lower, upper: [T], the two sides of the bracket (units of the membrane, or spikes).
        truth: [T], the trajectory of the sequential neuron; None leaves it out.
        ax: matplotlib axes; the current ones if None.

    Returns:
        The axes. Shape: [T] in, none out.

    Raises:
        ValueError: if the shapes differ or are not [T].

    Example:
        >>> bracket_plot([0, 0, 1], [1, 0, 1], [0, 0, 1])  # doctest: +SKIP

    Book: ch-certified-spikes
    """
    low, high = _array(lower), _array(upper)
    if low.ndim != 1 or low.shape != high.shape or (truth is not None and _array(truth).shape != low.shape):
        raise ValueError(
            f"bracket_plot got shapes {list(low.shape)} and {list(high.shape)}; it wants [T] for all. Pick one neuron."
        )
    ax = plt.gca() if ax is None else ax
    time = np.arange(len(low))
    ax.fill_between(time, low, high, step="mid", color=PALETTE["sky"], alpha=0.3, linewidth=0, label="bracket")
    ax.step(time, low, where="mid", color=PALETTE["blue"], linestyle="-", linewidth=1.0)
    ax.step(time, high, where="mid", color=PALETTE["blue"], linestyle="-", linewidth=1.0)
    if truth is not None:
        ax.plot(time, _array(truth), color=PALETTE["orange"], linestyle="none", marker="o", label="sequential neuron")
    ax.set(xlabel="time step")
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax
