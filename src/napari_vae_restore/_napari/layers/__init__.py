"""Between layers and arrays: placement, results, masks, regions."""
