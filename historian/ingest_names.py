"""Writers that still name a tag as it was called before."""

from collections.abc import Sequence

from historian.catalog_known import KnownTags
from historian.ingest_receipts import SeriesInput
from historian.metrics import Metrics


def former_names(
    catalog: KnownTags, series: Sequence[SeriesInput], metrics: Metrics, source: str
) -> tuple[tuple[str, str], ...]:
    """Find the former names in a write and count their rows.

    Returns
    -------
    tuple of (str, str)
        Each former name and the present one.
    """
    found: dict[str, str] = {}
    for one in series:
        tag = catalog.find(one.tag)
        if tag is not None and tag.name != one.tag:
            found[one.tag] = tag.name
            metrics.by_former_name(source, len(one))
    return tuple(found.items())
