"""medeor: from raw clinical data to a model that a hospital or a drug programme can trust."""

__version__ = "0.1.0"
