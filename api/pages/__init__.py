"""The two pages: trends and unit passport."""
