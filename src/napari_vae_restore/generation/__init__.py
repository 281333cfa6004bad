"""Other uses of a VAE: samples, latents, enhancement, compression."""
