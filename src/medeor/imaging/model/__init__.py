"""What answers a question about images: networks, features for trees, and their applicability domain."""
