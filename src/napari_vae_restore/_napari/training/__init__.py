"""A training in its own process and folder, and its layer."""
