"""How good a model is, measured the way the product runs it."""
