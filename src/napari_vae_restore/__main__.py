"""``python -m napari_vae_restore`` is the command line."""

import sys

from napari_vae_restore.cli import main

if __name__ == "__main__":
    sys.exit(main())
