"""`python -m medeor`."""

from medeor.cli.app import main

main()
