"""Measurements beside rivals; stands beside the floors and is not part of the product."""
