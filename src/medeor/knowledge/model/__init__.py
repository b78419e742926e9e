"""What completes a graph: scorers, graph networks, and the baselines beside them."""
