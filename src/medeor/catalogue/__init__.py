"""Public data sets that a study can ask for by name: what is known of them, and where their files are found."""

from medeor.catalogue.facts import Copy, Facts, completed, describe, facts, names
from medeor.catalogue.find import locate, near, opened

__all__ = ["Copy", "Facts", "completed", "describe", "facts", "locate", "names", "near", "opened"]
