"""How good a model or a result is, in figures, and which of several models is best."""
