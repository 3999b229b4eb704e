"""Import of tag definitions: what each row of a CSV would do, and doing it in one transaction.

A row means the tag of its uuid, else of its name. What no row names stays as it is: nothing is
deleted because it is absent. Columns that the file does not have stay as they are, too.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from historian.catalog import Catalog
from historian.catalog_changes import TagChange
from historian.catalog_csv import COLUMNS, CellInvalid, CsvRow, field_of, read_rows
from historian.catalog_records import TagDraft, TagRecord
from historian.errors import RequestInvalid
from storage_engine.sample import ValueType

Status = Literal["created", "changed", "unchanged", "refused"]
_COLUMN_OF = {"hold_max_ns": "hold_max", "stale_after_ns": "stale_after"}
_GOT_CHARACTERS_MAX = 64


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a row cannot be taken: the column, what it holds and what would be right."""

    column: str
    got: str
    want: str


@dataclass(slots=True)
class RowPlan:
    """What a row would do.

    Attributes
    ----------
    line : int
        Line of the file on which the row begins.
    name : str
        As the row gives it, or as the tag is called.
    change : TagChange or None
        Of a tag that exists.
    draft : TagDraft or None
        A new tag.
    refusal : Refusal or None
    """

    line: int
    name: str
    change: TagChange | None = None
    draft: TagDraft | None = None
    refusal: Refusal | None = None
    after: TagRecord | None = None

    @property
    def status(self) -> Status:
        """What becomes of the row."""
        if self.refusal is not None:
            return "refused"
        if self.change is None:
            return "created"
        return "unchanged" if self.after == self.change.tag else "changed"

    def differences(self) -> dict[str, tuple[Any, Any]]:
        """Facts that change: before and after, by name of the field."""
        if self.status != "changed" or self.change is None or self.after is None:
            return {}
        before, after = self.change.tag.facts(), self.after.facts()
        return {key: (before[key], after[key]) for key in before if before[key] != after[key]}


@dataclass(frozen=True, slots=True)
class ImportReport:
    """Rows in the order of the file, and whether they were entered."""

    rows: list[RowPlan]
    applied: bool
    counts: Mapping[str, int] = field(default_factory=dict)


def import_tags(
    catalog: Catalog,
    data: bytes,
    principal: str,
    *,
    dry_run: bool = False,
    proceed: bool = False,
    take_names: bool = False,
) -> ImportReport:
    """Bring the catalog in line with a CSV; all rows or none.

    Parameters
    ----------
    catalog : Catalog
    data : bytes
        The file.
    principal : str
        Who is entered in the audit.
    dry_run : bool
        Only say what would be done.
    proceed : bool
        Enter the other rows where some are refused.
    take_names : bool
        New tags may take names that others had before.

    Raises
    ------
    RequestInvalid
        For a file that cannot be read as a whole.
    Conflict
        For more tags than the catalog takes.
    """
    with catalog.held():
        rows = _Plan(catalog, take_names=take_names).of(list(read_rows(data)))
        counts: Counter[str] = Counter(row.status for row in rows)
        catalog.check_room(counts["created"])
        applies = not dry_run and (proceed or not counts["refused"])
        if applies:
            changes = [r.change for r in rows if r.status == "changed" and r.change is not None]
            drafts = [r.draft for r in rows if r.status == "created" and r.draft is not None]
            catalog.change(changes, drafts, principal, take_names=True)
        return ImportReport(rows, applies, counts)


class _Plan:
    """What rows mean, against the catalog and against each other."""

    def __init__(self, catalog: Catalog, *, take_names: bool) -> None:
        self._catalog = catalog
        self._take_names = take_names

    def of(self, rows: list[CsvRow]) -> list[RowPlan]:
        """Plan every row; those that contradict each other are refused."""
        read = [self._read(row) for row in rows]
        leaving = self._leaving(read)
        plans = [self._planned(plan, fields, leaving) for plan, fields in read]
        self._refuse_twice(plans)
        self._refuse_names(plans)
        return plans

    def _read(self, row: CsvRow) -> tuple[RowPlan, dict[str, Any]]:
        plan = RowPlan(row.line, row.cells.get("name", ""))
        if row.fault:
            got, _, want = row.fault.removeprefix("got ").partition(", want ")
            plan.refusal = Refusal("", got, want)
            return plan, {}
        fields: dict[str, Any] = {}
        for column in COLUMNS:
            cell = row.cells.get(column)
            if cell is None:
                continue
            try:
                name, value = field_of(column, cell)
            except CellInvalid as error:
                plan.refusal = Refusal(column, cell[:_GOT_CHARACTERS_MAX], str(error))
                return plan, {}
            fields[name] = value
        plan.name = fields.get("name", "")
        return plan, fields

    def _leaving(self, read: list[tuple[RowPlan, dict[str, Any]]]) -> set[str]:
        """Names that rows with a uuid take from their tags."""
        names = set()
        for plan, fields in read:
            tag = self._catalog.find_uuid(fields["uuid"]) if fields.get("uuid") else None
            if tag is not None and plan.refusal is None and plan.name not in {"", tag.name}:
                names.add(tag.name)
        return names

    def _planned(self, plan: RowPlan, fields: dict[str, Any], leaving: set[str]) -> RowPlan:
        if plan.refusal is not None:
            return plan
        text = fields.pop("uuid", "")
        tag = None
        if text:
            tag = self._catalog.find_uuid(text)
            if tag is None:
                want = "the uuid of a tag of this store, or nothing for a new one"
                plan.refusal = Refusal("uuid", text[:_GOT_CHARACTERS_MAX], want)
                return plan
            if not plan.name:
                plan.name = tag.name
                fields.pop("name", None)
        elif plan.name not in leaving:
            tag = self._catalog.find_present(plan.name)
        try:
            if tag is None:
                self._create(plan, fields, leaving)
            else:
                self._change(plan, tag, fields)
        except RequestInvalid as error:
            where = str(error.facts.get("where", "name"))
            want = str(error.facts.get("want", error))
            got = str(error.facts.get("got", plan.name))[:_GOT_CHARACTERS_MAX]
            plan.refusal = Refusal(_COLUMN_OF.get(where, where), got, want)
        return plan

    def _create(self, plan: RowPlan, fields: dict[str, Any], leaving: set[str]) -> None:
        former = self._catalog.find(plan.name)
        if former is not None and plan.name not in leaving and not self._take_names:
            want = f"another name, or take_name: {former.name!r} was called so"
            plan.refusal = Refusal("name", plan.name, want)
            return
        fields = {"name": plan.name, **fields}
        type_ = fields.pop("type", None) or ValueType.FLOAT64
        draft = TagDraft(type=type_, **fields)
        draft.check()
        plan.draft = draft
        address = (draft.source, draft.address)
        other = self._catalog.find_address(*address) if draft.address else None
        if other is not None:
            plan.refusal = Refusal("address", draft.address, f"not that of {other.name!r}")

    def _change(self, plan: RowPlan, tag: TagRecord, fields: dict[str, Any]) -> None:
        type_ = fields.pop("type", None)
        if type_ is not None and type_ is not tag.type:
            plan.refusal = Refusal("type", type_.name.lower(), tag.type.name.lower())
            return
        for column in ("source", "address"):
            value = fields.pop(column, getattr(tag, column))
            if value != getattr(tag, column):
                want = getattr(tag, column) or "nothing"
                plan.refusal = Refusal(column, value[:_GOT_CHARACTERS_MAX], want)
                return
        if fields.get("stepped", True) is None:
            fields["stepped"] = TagDraft(tag.name, tag.type).steps
        plan.change = TagChange(tag, fields)
        plan.after = plan.change.after()

    def _refuse_twice(self, plans: list[RowPlan]) -> None:
        """Refuse a second row of one tag, and a second new tag of one address."""
        tags: dict[int, int] = {}
        addresses: dict[tuple[str, str], int] = {}
        for plan in plans:
            if plan.refusal is not None:
                continue
            if plan.change is not None:
                line = tags.setdefault(plan.change.tag.id, plan.line)
                column, got = "name", plan.name
            elif plan.draft is not None and plan.draft.address:
                column, got = "address", plan.draft.address
                line = addresses.setdefault((plan.draft.source, got), plan.line)
            else:
                continue
            if line != plan.line:
                plan.refusal = Refusal(column, got, f"another than in line {line}")

    def _refuse_names(self, plans: list[RowPlan]) -> None:
        """Refuse names that two tags would have; a refused rename keeps its name from others."""
        wanted: dict[str, list[RowPlan]] = {}
        leaving: dict[str, RowPlan] = {}
        for plan in plans:
            if plan.refusal is None and _new_name(plan):
                wanted.setdefault(plan.name, []).append(plan)
                if plan.change is not None:
                    leaving[plan.change.tag.name] = plan
        queue = [
            (plan, f"another than in line {listed[0].line}")
            for listed in wanted.values()
            for plan in listed[1:]
        ]
        for name, listed in wanted.items():
            if self._catalog.find_present(name) is not None and name not in leaving:
                queue.append((listed[0], "a name that is free"))
        while queue:
            plan, want = queue.pop()
            if plan.refusal is not None:
                continue
            plan.refusal = Refusal("name", plan.name, want)
            if plan.change is not None:  # its tag keeps the name that another row may want
                stays = plan.change.tag.name
                queue += [(one, "a name that is free") for one in wanted.get(stays, ())]


def _new_name(plan: RowPlan) -> bool:
    return plan.draft is not None or (plan.change is not None and plan.change.tag.name != plan.name)
