"""An image codec on a VAE: latents, wavelets, the mean head, range coding."""
