"""Any image to planes and back: arrays, layouts, files and their metadata."""
