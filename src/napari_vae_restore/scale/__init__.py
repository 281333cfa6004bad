"""Images larger than memory: lazy arrays, stores, folders, clusters. Knows no window."""
