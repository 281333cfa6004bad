"""The noise model and its parameters, measured in one image."""
