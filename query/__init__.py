"""Questions about samples: requests, plans, aggregates, downsampling."""
