"""The napari plugin: the only part of the package that imports napari and Qt.

Widgets stay thin. What a widget knows without a window (`region`, `restoration_steps`,
`training_steps`) is in modules that import no Qt; what runs long is a generator of
messages that `worker` drives in a thread.
"""
