"""Boosted trees: fitted by LightGBM, kept as arrays, evaluated by our own vectorised code."""
