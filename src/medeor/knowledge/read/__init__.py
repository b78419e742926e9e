"""From what the user gave to a graph and its cases."""
