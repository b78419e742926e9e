"""Truth and predictions side by side, figures of merit with their intervals, and splits; no torch."""
