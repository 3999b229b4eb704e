"""``historian version``: versions of the product, of what it stands on, of its formats."""

from api.console import print_json, print_table
from api.options import JsonOption
from api.version import facts


def version(*, json: JsonOption = False) -> None:
    """Print versions, as a report of a fault should name them."""
    found = facts()
    if json:
        print_json(found)
    else:
        print_table({"part": list(found), "version": list(found.values())})
