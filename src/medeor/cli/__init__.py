"""The command line: one verb each for what `medeor.api` does."""

from medeor.cli.app import main

__all__ = ["main"]
