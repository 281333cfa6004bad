"""Packages of the BioImage Model Zoo (bioimage.io): models made for its tools, and back.

What a tool runs is a TorchScript of the mean path (:mod:`~.denoiser`), which :mod:`~.package`
puts into a package with everything the format asks for. :mod:`~.archive` gets the model
file out of a package again; it runs nothing that it finds there.
"""
