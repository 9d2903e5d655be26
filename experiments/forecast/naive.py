"""The rows every table needs: persistence, the value one period earlier, and one ridge regression for all channels."""

import torch


def last_observed(x, seen):
    """Last observed value of each channel of windows x [L, B, C] with cells ``seen``; zero where there is none. [B, C]"""
    steps = torch.arange(len(x), device=x.device)[:, None, None]
    last = torch.where(seen, steps, -1).amax(0)
    value = x.gather(0, last.clamp(min=0)[None])[0]
    return torch.where(last >= 0, value, 0.0)


def persistence(x, seen, horizon):
    """The last observed value, for all of the horizon: [L, B, C] -> [H, B, C]."""
    return last_observed(x, seen).expand(horizon, -1, -1)


def seasonal(series, starts, lookback, horizon):
    """The value one period (or as many as it takes) before each target, from the series itself: [H, B, C].

    It may be older than the window; never younger than the window's end. A missing one is replaced by persistence.
    """
    ahead = torch.arange(horizon)
    back = (ahead // series.period + 1) * series.period
    index = (starts[None] + lookback + (ahead - back)[:, None]).clamp(min=0).to(series.values.device)
    x, seen, _, _ = series.windows(starts, lookback, horizon)
    return torch.where(series.observed[index], series.values[index], persistence(x, seen, horizon))


def seasonal_with_gaps(series, starts, x, left, horizon):
    """`seasonal` where cells of the window x [L, B, C] were removed and ``left`` are known: [H, B, C].

    A value one period before that lies inside the window is taken from x where it is left, else persistence stands in; one
    that lies before the window was never removed.
    """
    lookback, ahead = len(x), torch.arange(horizon)
    step = lookback + ahead - (ahead // series.period + 1) * series.period
    inside = (step >= 0)[:, None, None].to(x.device)
    index = (starts[None] + step[:, None]).clamp(min=0).to(x.device)
    step = step.clamp(min=0).to(x.device)
    last = persistence(x, left, horizon)
    within = torch.where(left[step], x[step], last)
    before = torch.where(series.observed[index], series.values[index], last)
    return torch.where(inside, within, before)


def filled(x, seen):
    """Windows [L, B, C] with each missing cell replaced by the last observed one before it (zero if none)."""
    steps = torch.arange(len(x), device=x.device)[:, None, None]
    last = torch.where(seen, steps, -1).cummax(0).values
    return torch.where(last >= 0, x.gather(0, last.clamp(min=0)), 0.0)


class SharedRidge:
    """One linear map from a channel's window to its horizon, the same for all channels, by ridge regression.

    W = (X'X + penalty n I)^-1 X'Y over all windows and channels; a target cell that was not observed drops its row.
    """

    def __init__(self, penalty=1e-4):
        self.penalty = penalty

    def fit(self, series, lookback, horizon, every=1, batch=256):
        """Fit on the training part."""
        size = lookback + 1
        gram = torch.zeros(size, size, dtype=torch.float64)
        cross, count = torch.zeros(size, horizon, dtype=torch.float64), 0
        for starts in series.starts("train", lookback, horizon, every).split(batch):
            x, seen, y, known = series.windows(starts, lookback, horizon)
            rows, targets = self._rows(filled(x, seen)), y.flatten(1).T.double().cpu()
            rows = rows[(whole := known.all(0).flatten().cpu())]
            gram, cross, count = gram + rows.T @ rows, cross + rows.T @ targets[whole], count + len(rows)
        self.weight = torch.linalg.solve(gram + self.penalty * count * torch.eye(size, dtype=torch.float64), cross)
        return self

    def __call__(self, x, seen, horizon):
        """Forecast [H, B, C] of windows [L, B, C]."""
        made = self._rows(filled(x, seen)) @ self.weight
        return made.T.reshape(horizon, *x.shape[1:]).to(x)

    @staticmethod
    def _rows(x):
        flat = x.flatten(1).T.double().cpu()
        return torch.cat([flat, torch.ones(len(flat), 1, dtype=torch.float64)], dim=1)
