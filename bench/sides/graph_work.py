"""What both sides of a speed on graphs do alike: ComplEx of one size, softplus loss, Adam, and its steps."""

DIMENSION = 200
"""Numbers of an entity: 100 complex ones."""
BATCH = 256
"""Triples a step."""
NEGATIVES = 64
RATE = 0.01
