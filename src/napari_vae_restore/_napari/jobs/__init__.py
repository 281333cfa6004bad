"""Computations behind the window: generators of messages, without Qt."""
