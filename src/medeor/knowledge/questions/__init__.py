"""Questions in words to a completed graph, and the evidence for their answers."""
