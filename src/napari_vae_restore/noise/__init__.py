"""Noise models p(y | s), and `estimation` of one from a noisy image."""
