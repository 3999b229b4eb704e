"""Settings of questions: what one may take."""

from dataclasses import dataclass, fields

from query.request import QueryLimits


@dataclass(frozen=True, slots=True)
class QueryConfig:
    """``[query]``: bounds of one question.

    Attributes
    ----------
    seconds_max : float
        How long a request may work on its answer, or on one piece of an answer that is sent in
        pieces.
    rows_max : int
        Rows of one raw answer, summaries under one aggregate, values of one read at times.
    intervals_max : int
        Intervals of one aggregate answer, windows of one join.
    tags_max : int
        Tags of one request.
    scan_rows_max : int
        Samples that one question may read of a tag.
    values_max : int
        Values of one answer about several tags: windows or times by tags.
    chunk_rows : int
        Samples of one question in memory at a time; 28 bytes each plus working copies.
    """

    seconds_max: float = 60.0
    rows_max: int = 1_000_000
    intervals_max: int = 200_000
    tags_max: int = 20_000
    scan_rows_max: int = 200_000_000
    values_max: int = 5_000_000
    chunk_rows: int = 131_072

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name != "seconds_max" and getattr(self, field.name) < 1:
                raise ValueError(f"got {field.name} {getattr(self, field.name)}, want >= 1")
        if not self.seconds_max > 0:
            raise ValueError(f"got seconds_max {self.seconds_max}, want more than 0")

    def limits(self) -> QueryLimits:
        """Bounds as query takes them."""
        return QueryLimits(
            rows_max=self.rows_max,
            intervals_max=self.intervals_max,
            tags_max=self.tags_max,
            chunk_rows=self.chunk_rows,
            scan_rows_max=self.scan_rows_max,
            values_max=self.values_max,
        )
