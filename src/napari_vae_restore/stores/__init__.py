"""Images larger than memory, from store to store, on this machine or a cluster."""
