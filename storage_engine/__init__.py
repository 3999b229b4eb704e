"""Numbers on disk: knows no plant, no network, no wall clock."""
