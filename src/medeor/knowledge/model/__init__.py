"""What completes a graph: scorers, graph networks, and their baselines."""
