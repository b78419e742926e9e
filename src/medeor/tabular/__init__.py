"""Prediction from a plain table: one row a case, and its columns as they are."""
