"""Numbers with units: how they are written, and converted."""
