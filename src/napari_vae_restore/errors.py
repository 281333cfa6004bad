"""The errors that this package raises on purpose.

None derives from RuntimeError: Qt's worker threads swallow that type, and an
error that vanishes leaves a user with a disabled button and no explanation.
"""

_LONGEST = 240
"""Characters of a foreign error that a message repeats."""


def shortened(error: BaseException) -> str:
    """What an error of another library says, in one line, cut where it says too much."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"


class VAERestoreError(Exception):
    """Base of every error raised on purpose; its message says what to do."""


class InputError(VAERestoreError, ValueError):
    """An image, a parameter or a combination of them that cannot be used."""


class ImageFileError(VAERestoreError):
    """An image file that cannot be read or written."""


class ModelFileError(VAERestoreError):
    """A model or checkpoint file that is foreign, torn, or of another version."""


class RestorationError(VAERestoreError):
    """The computation itself failed, for example out of memory."""


class TrainingError(VAERestoreError):
    """A training run that cannot start or go on."""
