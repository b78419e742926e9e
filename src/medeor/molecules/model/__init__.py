"""What answers a question about compounds: networks, features for trees, neighbours, and their applicability domain."""
