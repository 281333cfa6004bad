"""The napari plugin: the only part of the package that imports napari and Qt.

`widgets` stay thin and `forms` hold their fields. `layers` turns layers into arrays and back;
`jobs` and `training` are generators of messages that `worker` runs in a thread, without Qt.
"""
