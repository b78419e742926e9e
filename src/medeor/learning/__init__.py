"""How models are fitted, whatever they look at: splits, the loop, folds, trees."""
