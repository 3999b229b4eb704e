"""What a variable of the plant's OPC UA server is, and what one row of it carries."""

from dataclasses import dataclass

from storage_engine.sample import ValueType

Value = float | int | bool | str | None
Row = tuple[int, int, int, Value]
"""(index of the node, source time in ns UTC, quality, value); a bad row may carry None."""

NODE_TYPES = (ValueType.FLOAT64, ValueType.INT64, ValueType.BOOL, ValueType.SYMBOL)


@dataclass(frozen=True, slots=True)
class Node:
    """One variable of the server.

    Attributes
    ----------
    path : tuple of str
        Folders from the Objects folder down.
    name : str
        Browse name, unique in its folder.
    type : ValueType
        FLOAT64 (Double), INT64 (Int64), BOOL (Boolean) or SYMBOL (String).
    description, eng_unit : str
        Shown to clients; empty is allowed.
    low, high : float or None
        Engineering range, where one is known.
    """

    path: tuple[str, ...]
    name: str
    type: ValueType
    description: str = ""
    eng_unit: str = ""
    low: float | None = None
    high: float | None = None

    @property
    def identifier(self) -> str:
        """Identifier within the namespace, for example ``line1/st1/squeegee_force``."""
        return "/".join((*self.path, self.name))
