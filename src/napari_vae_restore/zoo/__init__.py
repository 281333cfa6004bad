"""Packages of the BioImage Model Zoo (bioimage.io), there and back.

A tool runs a TorchScript of the mean path (:mod:`~.denoiser`), packed by :mod:`~.package`.
:mod:`~.archive` takes the model file out again, and runs nothing that it finds.
"""
