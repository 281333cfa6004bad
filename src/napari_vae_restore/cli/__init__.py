"""The command line, ``vae-restore``.

A command is a frozen dataclass: typer makes options of its fields, and `run` does the work.
It checks paths, shows progress and writes files; every number comes from the functions that
Python and napari call too. Commands import torch and the rest of the package when they run,
so that ``--help`` is quick.
"""

from napari_vae_restore.cli.app import main

__all__ = ["main"]
