"""Forecasting: series, windows, naive forecasts, metrics, missing data, backbones with exchangeable neurons."""
