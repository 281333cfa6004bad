"""How good a model is, in figures, and which of several is best."""
