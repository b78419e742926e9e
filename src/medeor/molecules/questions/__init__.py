"""What models of compounds offer beyond predictions: a page of one compound, what to make next, SDF."""
