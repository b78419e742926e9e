"""`python -m medeor`."""

from medeor.cli import main

main()
