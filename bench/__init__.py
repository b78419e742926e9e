"""Measured claims: `python -m bench` runs every workload and writes RESULTS.md."""
