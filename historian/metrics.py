"""What the historian counts of itself, as Prometheus metrics in a registry of its own."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

OTHER = "other"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(slots=True)
class Figure:
    """One figure of many things, such as sources: name without the prefix, text, rows.

    ``counts``: it only rises, until the thing starts anew.
    """

    name: str
    text: str
    label: str
    counts: bool = False
    rows: dict[str, float] = field(default_factory=dict)


class Metrics:
    """Counters per source, with a bound on the number of sources.

    Parameters
    ----------
    sources_max : int
        Sources with labels of their own; further ones are counted together as ``other``.
    """

    def __init__(self, sources_max: int) -> None:
        self._sources_max = sources_max
        self._sources: set[str] = set()
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._rows = self._counter("rows", "Rows stored, by source.", "source")
        self._rejected = self._counter(
            "rejected_rows", "Rows not stored, by source and reason.", "source", "reason"
        )
        self._frames = self._counter("frames", "Frames by what became of them.", "status")
        self._missing = self._counter("missing_frames", "Frames that never came.")
        self._former = self._counter(
            "former_name_rows", "Rows written by a name that the tag had before.", "source"
        )
        self._failures = self._counter(
            "failures", "Things that went wrong inside and were survived.", "what"
        )
        self._lag = Gauge(
            "historian_source_lag_seconds",
            "Server time minus newest source time, at the last write of the source.",
            ["source"],
            registry=self.registry,
        )
        self._stored_of: dict[str, Counter] = {}
        self._lag_of: dict[str, Gauge] = {}

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"historian_{name}", text, labels, registry=self.registry)

    def _source(self, source: str) -> str:
        if source in self._sources:
            return source
        if len(self._sources) >= self._sources_max:
            return OTHER
        self._sources.add(source)
        return source

    def by_former_name(self, source: str, rows: int) -> None:
        """Count rows of a source that named a tag as it was called before."""
        self._former.labels(self._source(source)).inc(rows)

    def stored(self, source: str, rows: int, lag_s: float | None = None) -> None:
        """Count rows of a source that are in the log, and how far behind they lie.

        Parameters
        ----------
        source : str
            Where they came from.
        rows : int
            How many.
        lag_s : float, optional
            Server time minus their newest time, in seconds.
        """
        counter = self._stored_of.get(source)
        if counter is None:
            label = self._source(source)
            counter = self._rows.labels(label)
            if label == source:
                self._stored_of[source] = counter
                self._lag_of[source] = self._lag.labels(label)
        counter.inc(rows)
        if lag_s is not None and source in self._lag_of:
            self._lag_of[source].set(lag_s)

    def rejected(self, source: str, reason: str, rows: int) -> None:
        """Count rows of a source that were not stored."""
        self._rejected.labels(self._source(source), reason).inc(rows)

    def frame(self, status: str) -> None:
        """Count a frame: stored, duplicate or refused."""
        self._frames.labels(status).inc()

    def missing(self, frames: int) -> None:
        """Count frames that a producer numbered and nobody received."""
        self._missing.inc(frames)

    def failure(self, what: str) -> None:
        """Count something that went wrong inside and was survived."""
        self._failures.labels(what).inc()

    def watch(self, read: Callable[[], Mapping[str, float]]) -> None:
        """Add gauges that are read when somebody asks.

        Parameters
        ----------
        read : callable
            Name without the prefix -> value.
        """
        self.registry.register(_Gauges(read))

    def watch_sources(self, read: Callable[[], Sequence[Figure]]) -> None:
        """Add figures with labels that are read when somebody asks."""
        self.registry.register(_Figures(read))

    def text(self) -> bytes:
        """Everything in the Prometheus text format (:data:`CONTENT_TYPE`)."""
        return generate_latest(self.registry)


class _Gauges:
    """Reads its values at the moment of a scrape."""

    def __init__(self, read: Callable[[], Mapping[str, float]]) -> None:
        self._read = read

    def describe(self) -> Iterable[Metric]:
        """Nothing to announce: the names come with the values."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """One gauge per value."""
        for name, value in self._read().items():
            family = GaugeMetricFamily(f"historian_{name}", name.replace("_", " ").capitalize())
            family.add_metric([], value)
            yield family


class _Figures:
    """Reads figures with labels at the moment of a scrape."""

    def __init__(self, read: Callable[[], Sequence[Figure]]) -> None:
        self._read = read

    def describe(self) -> Iterable[Metric]:
        """Nothing to announce: the names come with the values."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """One family per figure that has rows."""
        for figure in self._read():
            made = CounterMetricFamily if figure.counts else GaugeMetricFamily
            family = made(f"historian_{figure.name}", figure.text, labels=[figure.label])
            for name, value in figure.rows.items():
                family.add_metric([name], value)
            if figure.rows:
                yield family
