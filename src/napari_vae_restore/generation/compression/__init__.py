"""Images as files of their latents."""
