"""Changes of many tags at once: what each becomes, and whether all of it can stand together."""

import dataclasses
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from historian.catalog_records import (
    CHANGEABLE,
    TagDraft,
    TagRecord,
    check_name,
    check_properties,
    check_texts,
)
from historian.errors import Conflict, RequestInvalid


@dataclass(frozen=True, slots=True)
class TagChange:
    """What is to become of a tag that exists.

    Attributes
    ----------
    tag : TagRecord
        As it is.
    fields : mapping
        Any of ``CHANGEABLE``: the name, or what can be edited.
    """

    tag: TagRecord
    fields: Mapping[str, Any]

    def after(self) -> TagRecord:
        """Tell what it becomes.

        Raises
        ------
        RequestInvalid
            For a field that cannot be changed, or a name, text or property that cannot stand.
        """
        unknown = sorted(set(self.fields) - set(CHANGEABLE))
        if unknown:
            message = f"cannot edit tag {self.tag.name!r}: got {unknown[0]!r}, want one of: "
            raise RequestInvalid(message + ", ".join(CHANGEABLE), got=unknown[0])
        after = dataclasses.replace(self.tag, **self.fields)
        if after == self.tag:
            return self.tag
        check_name(after.name, "tag")
        check_texts(after)
        check_properties(after, [series.type for series in after.series])
        return after


def changed(changes: Iterable[TagChange]) -> list[tuple[TagRecord, TagRecord]]:
    """Tags before and after, of those that change at all.

    Raises
    ------
    RequestInvalid
        See ``TagChange.after``; also for a tag that is named twice.
    """
    changes = list(changes)
    twice = [tag for tag, count in Counter(one.tag.name for one in changes).items() if count > 1]
    if twice:
        message = f"cannot change tags: got {twice[0]!r} twice, want once"
        raise RequestInvalid(message, got=twice[0], where="tag")
    pairs = [(one.tag, one.after()) for one in changes]
    return [(before, after) for before, after in pairs if after != before]


def check_names(
    present: Collection[str],
    pairs: Sequence[tuple[TagRecord, TagRecord]],
    fresh: Sequence[TagDraft],
) -> None:
    """Refuse names that two tags would bear after all of the changes.

    Parameters
    ----------
    present : collection of str
        Every name that is borne now.
    pairs : sequence of (before, after)
    fresh : sequence of TagDraft
        New tags.

    Raises
    ------
    Conflict
        ``facts["got"]`` is the name.
    """
    renamed = [(before, after) for before, after in pairs if before.name != after.name]
    given_up = {before.name for before, _ in renamed}
    taken = [after.name for _, after in renamed] + [draft.name for draft in fresh]
    for name, count in Counter(taken).items():
        if count > 1 or (name in present and name not in given_up):
            why = "for two tags" if count > 1 else "which another tag has"
            message = f"cannot give the name {name!r}, {why}: want a name that is free"
            raise Conflict(message, got=name, want="a name that is free", where="name")


def refuse_twice(drafts: Sequence[TagDraft]) -> None:
    """Refuse a list that makes one name or one address twice.

    Raises
    ------
    Conflict
    """
    names = [d.name for d in drafts]
    addresses = [f"{d.source}:{d.address}" for d in drafts if d.address]
    for keys in (names, addresses):
        twice = next((key for key, count in Counter(keys).items() if count > 1), None)
        if twice is not None:
            raise Conflict(f"cannot declare tags: got {twice!r} twice, want once", got=twice)
