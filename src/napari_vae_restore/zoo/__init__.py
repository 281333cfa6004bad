"""Packages of the BioImage Model Zoo (bioimage.io), there and back.

What a tool runs is a TorchScript of the mean path (:mod:`~.denoiser`). :mod:`~.package` packs
it with everything the format asks for. :mod:`~.archive` takes the model file out of a package
again, and runs nothing that it finds there.
"""
