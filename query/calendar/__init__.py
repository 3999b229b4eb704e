"""Times as people live them: zones, days of 23 and 25 hours, weeks, months, shifts."""
