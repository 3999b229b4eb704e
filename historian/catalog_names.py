"""Names that tags bore before: kept with the times they were borne, and found by readers."""

from collections.abc import Sequence
from dataclasses import dataclass

from historian.catalog_database import Database
from historian.catalog_records import TagRecord


@dataclass(frozen=True, slots=True)
class NamePeriod:
    """A name and when it was borne, from <= time < to; ``to_ns`` None: until now."""

    name: str
    from_ns: int
    to_ns: int | None


class FormerNames:
    """Former names of tags; the last tag that bore a name is the one it means.

    Parameters
    ----------
    database : Database
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._bearer: dict[str, int] = {}  # id of the tag
        self._names: dict[int, list[str]] = {}

    def reload(self) -> None:
        """Read them from the file."""
        rows = self._database.rows("SELECT name, tag FROM tag_names ORDER BY to_ns, rowid")
        self._bearer = dict(rows)
        self._names = {}
        for name, tag in rows:
            self._names.setdefault(tag, []).append(name)

    def bearer(self, name: str) -> int:
        """Id of the last tag that bore a name and gave it up; 0 for none."""
        return self._bearer.get(name, 0)

    def keep(self, renamed: Sequence[TagRecord], now_ns: int) -> None:
        """Enter the names that tags had; call it inside the transaction that renames them."""
        for tag in renamed:
            position, since_ns = self._last(tag)
            self._database.execute(
                "INSERT INTO tag_names(tag, position, name, from_ns, to_ns) VALUES(?,?,?,?,?)",
                (tag.id, position, tag.name, since_ns, max(now_ns, since_ns)),
            )

    def learn(self, renamed: Sequence[TagRecord]) -> None:
        """Find tags by the names they had, from now on; call it after the transaction."""
        for tag in renamed:
            self._bearer[tag.name] = tag.id
            self._names.setdefault(tag.id, []).append(tag.name)

    def former(self, tag: TagRecord) -> list[str]:
        """Give the names that a tag had, oldest first."""
        return self._names.get(tag.id, [])

    def periods(self, tag: TagRecord) -> list[NamePeriod]:
        """Names of a tag, oldest first; the last is the present one."""
        rows = self._database.rows(
            "SELECT name, from_ns, to_ns FROM tag_names WHERE tag=? ORDER BY position", (tag.id,)
        )
        since_ns = rows[-1][2] if rows else tag.created_ns
        return [*(NamePeriod(*row) for row in rows), NamePeriod(tag.name, since_ns, None)]

    def bearers_at(self, name: str, time_ns: int) -> list[int]:
        """Ids of the tags that bore a name at a time and gave it up later, the last one last."""
        rows = self._database.rows(
            "SELECT tag FROM tag_names WHERE name=? AND from_ns<=? AND to_ns>? ORDER BY from_ns",
            (name, time_ns, time_ns),
        )
        return [tag for (tag,) in rows]

    def since_ns(self, tag: TagRecord) -> int:
        """Time from which a tag has its present name."""
        return self._last(tag)[1]

    def _last(self, tag: TagRecord) -> tuple[int, int]:
        """Position of the next former name, and the time from which the present one is borne."""
        rows = self._database.rows(
            "SELECT position, to_ns FROM tag_names WHERE tag=? ORDER BY position DESC LIMIT 1",
            (tag.id,),
        )
        return (rows[0][0] + 1, rows[0][1]) if rows else (0, tag.created_ns)
