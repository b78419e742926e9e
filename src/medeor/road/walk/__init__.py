"""The walk: the steps of the road, one after another."""
