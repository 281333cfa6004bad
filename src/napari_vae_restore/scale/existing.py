"""What may become of outputs that exist; words of the command line, Python and the window."""

from typing import Final

NEVER: Final = "never"
"""What this very run would make again is kept; anything else is an error at the start."""

MISSING: Final = "missing"
"""An image whose result exists is left out."""

ALWAYS: Final = "always"
"""All are made anew."""

POLICIES: Final = (NEVER, MISSING, ALWAYS)
