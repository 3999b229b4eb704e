"""The doors: HTTP, pages, command line. No logic."""
