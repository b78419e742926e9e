"""Molecules: what a compound does."""
