"""Sources of the plant: each a folder, strangers to each other."""
