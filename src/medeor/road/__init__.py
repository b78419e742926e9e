"""The road that every study walks, the folder that a run leaves, and the one file that carries a model elsewhere."""
