"""Which events a configuration asks for."""

from dataclasses import dataclass

from connectors.settings import Table


@dataclass(frozen=True, slots=True)
class EventRule:
    """``[[events]]``: what is asked of one notifier.

    Attributes
    ----------
    node : str
        Notifier; the Server object knows all events.
    types : tuple of str
        Node ids of event types, with their subtypes; empty means all.
    severity_min : int
    fields : tuple of str
        Further fields of the first of ``types``, as browse paths ``Name/Name``; they come in
        ``attributes``.
    namespace : str
        Uri of the names in ``fields``; "" is the standard one.
    """

    node: str
    types: tuple[str, ...] = ()
    severity_min: int = 0
    fields: tuple[str, ...] = ()
    namespace: str = ""
    queue_size: int = 1_000


def read_events(table: Table) -> EventRule:
    """Read one ``[[events]]`` table."""
    found = EventRule(
        node=table.text("node", "i=2253"),
        types=table.texts("types"),
        severity_min=table.integer("severity_min", 0, 0, 1_000),
        fields=table.texts("fields"),
        namespace=table.text("namespace", ""),
        queue_size=table.integer("queue_size", 1_000, 1, 1_000_000),
    )
    table.done()
    return found
