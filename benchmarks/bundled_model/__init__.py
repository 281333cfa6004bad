"""How the bundled model is made; no part of the installed package.

``benchmarks/collect_pictures.py`` fetches the pictures that ``pictures.csv`` lists, and
``benchmarks/train_bundled.py`` runs the stages and exports the weights.
"""
