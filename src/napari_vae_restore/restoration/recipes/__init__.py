"""Recipes: a restoration repeated from a file, as Python and as a command."""
