"""Names and collection of tags for query: what the catalog and the sources know, together."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from historian.catalog import Catalog
from historian.catalog_records import TagRecord
from historian.energy import Energy
from historian.joined_reader import JoinedReader
from historian.sources import Sources
from query.ports import Holes, Tag
from query.registers import Declaration

_EVER = (-(2**63), 2**63 - 1)


class PlantTags:
    """Fulfils ``query.ports.TagResolver``.

    Parameters
    ----------
    catalog : Catalog
    reader : JoinedReader
        Knows parts of series, for tags that are joined.
    sources : Sources
    energy : Energy
        Knows of resets and replacements; a tag is a meter of the same name, also a former one.
    """

    def __init__(
        self, catalog: Catalog, reader: JoinedReader, sources: Sources, energy: Energy
    ) -> None:
        self._catalog = catalog
        self._reader = reader
        self._sources = sources
        self._energy = energy

    def resolve(self, name: str) -> Tag:
        """See ``query.ports.TagResolver.resolve``."""
        tag = self._catalog.resolve(name)
        found = self._catalog.find(name)
        if found is None or self._catalog.joins.before(found.id) is None:
            return tag
        series = [
            self._reader.part(one.stream_id, low, high)
            for record, low, high in reversed(self._parts(found))
            for one in record.series
        ]
        return replace(tag, series=tuple(series))

    def _parts(self, tag: TagRecord) -> list[tuple[TagRecord, int, int]]:
        """Tags whose samples one shows, the newest first, each with low <= time < high."""
        parts, high = [], _EVER[1]
        for join in self._catalog.joins.chain(tag.id):
            parts.append((tag, join.from_ns, high))
            tag, high = self._catalog.find_id(join.former), join.from_ns
        return [*parts, (tag, _EVER[0], high)]

    def not_collected(self, tag: Tag) -> Holes:
        """See ``query.ports.TagResolver.not_collected``."""
        found = self._catalog.find(tag.name)
        edges: list[tuple[int, int]] = []
        for record, low, high in reversed([] if found is None else self._parts(found)):
            coverage = self._sources.coverage(record.source, *_EVER) if record.source else None
            holes = [] if coverage is None else coverage.holes
            cut = [(max(hole.start_ns, low), min(hole.end_ns, high)) for hole in holes]
            edges += [(start, end) for start, end in cut if start < end]
        if not edges:
            return Holes.none()
        start_ns, end_ns = np.array(edges, np.int64).T
        return Holes(np.ascontiguousarray(start_ns), np.ascontiguousarray(end_ns))

    def declarations(self, tag: Tag) -> Sequence[Declaration]:
        """See ``query.ports.TagResolver.declarations``."""
        found = self._catalog.find(tag.name)
        names = [] if found is not None else [tag.name]
        for record, _, _ in [] if found is None else self._parts(found):
            names += [record.name, *self._catalog.meant_by(record)]
        told = [one for name in names for one in self._energy.declarations(name)]
        return sorted(told, key=lambda one: one.time_ns)
