"""Names and collection of tags for query: what the catalog and the sources know, together."""

from collections.abc import Sequence

import numpy as np

from historian.catalog import Catalog
from historian.energy import Energy
from historian.sources import Sources
from query.ports import Holes, Tag
from query.registers import Declaration


class PlantTags:
    """Fulfils ``query.ports.TagResolver``.

    Parameters
    ----------
    catalog : Catalog
    sources : Sources
    energy : Energy
        Knows of resets and replacements; a tag is a meter of the same name, also a former one.
    """

    def __init__(self, catalog: Catalog, sources: Sources, energy: Energy) -> None:
        self._catalog = catalog
        self._sources = sources
        self._energy = energy

    def resolve(self, name: str) -> Tag:
        """See ``query.ports.TagResolver.resolve``."""
        return self._catalog.resolve(name)

    def not_collected(self, tag: Tag) -> Holes:
        """See ``query.ports.TagResolver.not_collected``."""
        found = self._catalog.find(tag.name)
        if found is None or not found.source:
            return Holes.none()
        coverage = self._sources.coverage(found.source, -(2**63), 2**63 - 1)
        if coverage is None or not coverage.holes:
            return Holes.none()
        edges = [(hole.start_ns, hole.end_ns) for hole in coverage.holes]
        start_ns, end_ns = np.array(edges, np.int64).T
        return Holes(np.ascontiguousarray(start_ns), np.ascontiguousarray(end_ns))

    def declarations(self, tag: Tag) -> Sequence[Declaration]:
        """See ``query.ports.TagResolver.declarations``."""
        found = self._catalog.find(tag.name)
        names = [tag.name, *([] if found is None else self._catalog.meant_by(found))]
        told = [one for name in names for one in self._energy.declarations(name)]
        return sorted(told, key=lambda one: one.time_ns)
