"""Which tag goes on with the history of which other one, and from when."""

from dataclasses import dataclass

from historian.catalog_database import Database


@dataclass(frozen=True, slots=True)
class Join:
    """Reads of ``tag`` show samples of ``former`` before ``from_ns``, and its own from there on.

    Both are ids of tags in the catalog.
    """

    tag: int
    former: int
    from_ns: int


class TagJoins:
    """Joins of tags: a tag goes on with one other at most, and is gone on with by one at most.

    Parameters
    ----------
    database : Database
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._by_tag: dict[int, Join] = {}
        self._by_former: dict[int, Join] = {}

    def reload(self) -> None:
        """Read them from the file."""
        rows = self._database.rows("SELECT tag, former, from_ns FROM tag_joins")
        found = [Join(*row) for row in rows]
        self._by_tag = {one.tag: one for one in found}
        self._by_former = {one.former: one for one in found}

    def before(self, tag: int) -> Join | None:
        """Give the join by which a tag goes on with another."""
        return self._by_tag.get(tag)

    def behind(self, tag: int) -> Join | None:
        """Give the join by which another tag goes on with this one."""
        return self._by_former.get(tag)

    def chain(self, tag: int) -> list[Join]:
        """Joins that lead back from a tag, the nearest first."""
        found = []
        join = self.before(tag)
        while join is not None:
            found.append(join)
            join = self.before(join.former)
        return found

    def put(self, join: Join) -> None:
        """Enter a join; call it inside a transaction, and :meth:`reload` behind it."""
        self._database.execute(
            "INSERT OR REPLACE INTO tag_joins(tag, former, from_ns) VALUES(?,?,?)",
            (join.tag, join.former, join.from_ns),
        )

    def remove(self, tag: int) -> None:
        """Take a join back; call it as :meth:`put`."""
        self._database.execute("DELETE FROM tag_joins WHERE tag=?", (tag,))
