"""Noise models p(y | s), and what one image tells of its noise.

``models`` are what the rest of the package speaks of; ``estimation`` finds one from a
noisy image. Nothing here knows networks, tiles or files.
"""
