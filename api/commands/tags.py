"""``historian tags``: list and search tags."""

from typing import Annotated

import typer

from api.client import connect, read_config
from api.console import print_json, print_table, refusals
from api.options import ConfigOption, JsonOption, UrlOption


def tags(
    search: Annotated[str, typer.Argument(help="Part of a name or description.")] = "",
    *,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
    after: Annotated[str, typer.Option(help="Only names behind this one.")] = "",
    config: ConfigOption = None,
    url: UrlOption = None,
    json: JsonOption = False,
) -> None:
    """List tags with type, unit and source."""
    with refusals(), connect(read_config(config), url) as client:
        found = client.get("/v1/tags", {"search": search, "limit": limit, "after": after})
    if json:
        print_json(found)
        return
    headings = ("name", "type", "eng_unit", "source", "address", "description")
    print_table({h: [tag[h] or None for tag in found["tags"]] for h in headings})
