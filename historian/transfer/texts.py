r"""Values as text and back, exactly: what a CSV file of ours holds.

Floats are written as Python's ``repr`` does, so that reading gives the same bits; a NaN other than
the usual one as ``nan:`` and its bits in hex. In strings a backslash begins an escape: ``\N`` alone
is null, ``\\`` a backslash, ``\n`` and ``\r`` ends of lines, ``\0`` NUL, ``\uXXXX`` half a pair of
surrogates. Bytes are base64. In the other types null is the empty text.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from storage_engine.sample import DTYPES, AnyArray, ColumnData, ValueType

NULL = r"\N"
STRINGS = (ValueType.SYMBOL, ValueType.TEXT)
_QUIET = {ValueType.FLOAT64: 0x7FF8 << 48, ValueType.FLOAT32: 0x7FC0 << 16}
_BOOLS = {"true": True, "false": False, "1": True, "0": False}
_INTEGER = re.compile(r"[+-]?\d{1,20}", re.ASCII)
_ESCAPED = re.compile(r"\\(u[0-9a-fA-F]{4}|.?)", re.DOTALL)
_SPECIAL = re.compile("[\\\\\n\r\0\ud800-\udfff]")
_ESCAPES = {"\\": r"\\", "\n": r"\n", "\r": r"\r", "\0": r"\0"}
_UNESCAPES = {"\\": "\\", "n": "\n", "r": "\r", "0": "\0"}
Bad = dict[int, str]  # row -> why it was refused


def texts_of(column: ColumnData) -> list[str]:
    """Write values as text.

    Parameters
    ----------
    column : ColumnData, n rows

    Returns
    -------
    list of str, n items
        Without the quotes of CSV.
    """
    type_ = column.type
    if type_ in _QUIET:
        texts = _float_texts(column)
    elif type_ is ValueType.BOOL:
        texts = ["true" if v else "false" for v in column.value.tolist()]
    elif type_ is ValueType.BYTES:
        texts = [base64.b64encode(v).decode() if v else "" for v in column.value.tolist()]
    elif type_ in STRINGS:
        texts = _escaped(column.value.tolist())
    else:
        texts = list(map(str, column.value.tolist()))
    if column.valid is None:
        return texts
    null = NULL if type_ in (*STRINGS, ValueType.BYTES) else ""
    return [t if ok else null for t, ok in zip(texts, column.valid.tolist(), strict=True)]


def _float_texts(column: ColumnData) -> list[str]:
    value: AnyArray = np.ascontiguousarray(column.value)
    with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one; its bits follow
        texts = list(map(repr, value.astype(np.float64).tolist()))
    for row in np.flatnonzero(np.isnan(value)).tolist():
        width = value.dtype.itemsize
        bits = int(value[row : row + 1].view(f"u{width}")[0])
        texts[row] = "nan" if bits == _QUIET[column.type] else f"nan:{bits:0{2 * width}x}"
    return texts


def _escaped(texts: list[str]) -> list[str]:
    texts = [t or "" for t in texts]  # what lies under a null may be anything
    if _SPECIAL.search("".join(texts)) is None:
        return texts
    return [_SPECIAL.sub(_escape, t) for t in texts]


def _escape(found: re.Match[str]) -> str:
    character = found.group()
    return _ESCAPES.get(character) or f"\\u{ord(character):04x}"


def _unescape(found: re.Match[str]) -> str:
    code = found.group(1)
    if code[:1] == "u" and len(code) == 5:
        return chr(int(code[1:], 16))
    if code not in _UNESCAPES:
        raise ValueError(f"got escape \\{code}, want \\\\, \\n, \\r, \\0 or \\uXXXX")
    return _UNESCAPES[code]


def column_of(
    type_: ValueType,
    texts: Sequence[str],
    *,
    ours: bool = True,
    nulls: frozenset[str] = frozenset(),
) -> tuple[ColumnData, Bad]:
    """Read values from text.

    Parameters
    ----------
    type_ : ValueType
    texts : sequence of str, n items
    ours : bool
        Strings have our escapes; otherwise they are taken as they stand.
    nulls : frozenset of str
        Further texts that mean null.

    Returns
    -------
    ColumnData
        n rows; those refused hold null.
    bad : dict of int to str
        Row -> why it was refused.
    """
    if not nulls:
        quick = _quick(type_, texts)
        if quick is not None:
            return ColumnData(type_, quick), {}
    blank = {ValueType.BYTES: b"", ValueType.TEXT: "", ValueType.SYMBOL: ""}.get(type_, 0)
    value: AnyArray = np.full(len(texts), blank, DTYPES[type_])
    valid = np.ones(len(texts), np.bool_)
    bad: Bad = {}
    string = type_ in (*STRINGS, ValueType.BYTES)
    read = _reader(type_, ours=ours)
    for row, text in enumerate(texts):
        if text in nulls or (text == NULL if string else not text):
            valid[row] = False
            continue
        try:
            read(value, row, text)
        except ValueError as error:
            bad[row] = str(error)
            valid[row] = False
    return ColumnData(type_, value, None if valid.all() else valid), bad


def _quick(type_: ValueType, texts: Sequence[str]) -> AnyArray | None:
    """All texts at once, when they are plain numbers; None when one is not."""
    if type_ not in (ValueType.FLOAT64, ValueType.INT64, ValueType.UINT64):
        return None
    joined = "".join(texts)
    if "_" in joined or not joined.isascii():
        return None
    try:
        if type_ is ValueType.FLOAT64:
            return np.array(list(map(float, texts)), np.float64)
        return np.array(list(map(int, texts)), DTYPES[type_])
    except (ValueError, OverflowError):
        return None


def _reader(type_: ValueType, *, ours: bool) -> Callable[[AnyArray, int, str], None]:
    readers: Mapping[ValueType, Callable[[AnyArray, int, str], None]] = {
        ValueType.FLOAT64: _read_float,
        ValueType.FLOAT32: _read_float,
        ValueType.INT64: _read_integer,
        ValueType.UINT64: _read_integer,
        ValueType.BOOL: _read_bool,
        ValueType.BYTES: _read_bytes,
    }
    return readers.get(type_, _read_escaped if ours else _read_string)


def _read_float(value: AnyArray, row: int, text: str) -> None:
    if text.startswith(("nan:", "-nan:")):
        width = value.dtype.itemsize
        bits = int(text.partition(":")[2], 16)
        if bits >> (8 * width):
            raise ValueError(f"got {text!r}, want the bits of a NaN of {8 * width} bits")
        value[row : row + 1].view(f"u{width}")[0] = bits
        if value[row] == value[row]:
            raise ValueError(f"got {text!r}, want the bits of a NaN")
        return
    if "_" in text or not text.isascii():
        raise ValueError(f"got {text[:64]!r}, want a number")
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"got {text[:64]!r}, want a number") from None
    with np.errstate(over="ignore"):
        value[row] = number
    if np.isinf(value[row]) and not np.isinf(number):
        raise ValueError(f"got {text[:64]!r}, want a number that fits 32 bits")


def _read_integer(value: AnyArray, row: int, text: str) -> None:
    if not _INTEGER.fullmatch(text.strip()):
        raise ValueError(f"got {text[:64]!r}, want a whole number")
    number = int(text)
    bounds = np.iinfo(np.int64 if value.dtype == np.int64 else np.uint64)
    if not bounds.min <= number <= bounds.max:
        raise ValueError(f"got {text[:64]!r}, want {bounds.min} to {bounds.max}")
    value[row] = number


def _read_bool(value: AnyArray, row: int, text: str) -> None:
    known = _BOOLS.get(text.strip().lower())
    if known is None:
        raise ValueError(f"got {text[:64]!r}, want true or false")
    value[row] = known


def _read_bytes(value: AnyArray, row: int, text: str) -> None:
    try:
        value[row] = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"got {text[:64]!r}, want base64") from None


def _read_escaped(value: AnyArray, row: int, text: str) -> None:
    value[row] = _ESCAPED.sub(_unescape, text) if "\\" in text else _utf8(text)


def _read_string(value: AnyArray, row: int, text: str) -> None:
    value[row] = _utf8(text)


def _utf8(text: str) -> str:
    """The text, unless the file held bytes that are no UTF-8."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError("got bytes that are no UTF-8, want text") from None
    return text
