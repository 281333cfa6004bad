"""Many files, restored one after another."""
