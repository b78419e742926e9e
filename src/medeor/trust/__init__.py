"""Whether a model can be believed: figures with their intervals, calibration, comparison, audits, faithfulness."""
