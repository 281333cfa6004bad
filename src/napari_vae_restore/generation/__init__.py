"""What a VAE does besides restoring: samples, latents, enhancement, compression."""
