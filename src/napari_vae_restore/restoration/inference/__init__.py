"""Posterior inference in one window: from a measurement to its restoration."""
