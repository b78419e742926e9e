"""Networks as methods: recipes made into fits, with their schedule, heads and batches."""
