"""The command line, ``vae-restore``: one module per command.

It parses, checks paths, shows progress and writes files; every number comes from the
functions that Python and napari call too. Modules of commands import torch and the
rest of the package inside the commands, so that ``--help`` is quick.
"""

from napari_vae_restore.cli.app import main

__all__ = ["main"]
