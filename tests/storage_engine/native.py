"""For tests that compile kernels: the headers of a checkout, or of an installation."""

from pathlib import Path

from storage_engine import kernels

HEADERS = f"-I{Path(kernels.__file__).parent}"
