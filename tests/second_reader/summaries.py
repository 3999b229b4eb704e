"""Summaries of runs and vectors, from segment.md: computed from the rows in whole fractions."""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from hashlib import blake2b
from itertools import pairwise

import numpy as np
from second_reader.checksum import crc32c
from second_reader.codecs import decode, varint
from second_reader.words import (
    BYTES,
    FIXED,
    FLOAT32,
    FLOAT64,
    SYMBOL,
    TEXT,
    Cursor,
    DamagedError,
)

SUMS = ("sum", "squares", "stepped", "forward", "increase")
ARRAYS = ("run_sum", "run_squares", "run_stepped_ns", "run_forward_ns", "run_increase")
VECTOR, SUMMED = 1024, 64
_HELD_MAX = 16  # values of a vector
_FORM = {FLOAT64: "<d", FLOAT32: "<f"}
_WORD = 1 << 64
_HELD = 1 << 63  # bit of a pyramid's mask
_TIMES = (
    *("first_time", "last_time", "first_good_time", "last_good_time"),
    *("minimum_time", "maximum_time"),
)
Number = int | float


@dataclass
class Told:
    """What is told of some rows; cells are bits, sums are fractions, None where not known."""

    rows: int = 0
    good: int = 0
    uncertain: int = 0
    bad: int = 0
    first_time: int = 0
    last_time: int = 0
    first_value: int = 0
    last_value: int = 0
    first_quality: int = 0
    last_quality: int = 0
    ends: int = 0
    first_good: int = 0
    last_good: int = 0
    first_good_time: int = 0
    last_good_time: int = 0
    minimum: int = 0
    maximum: int = 0
    minimum_time: int = 0
    maximum_time: int = 0
    covered_ns: int = 0
    resets: int = 0
    transitions: int = 0
    sums: list[Fraction | None] = field(default_factory=lambda: [None] * 5)
    held: dict[int, int] = field(default_factory=dict)  # ns by cell
    other: int | None = None  # ns of what is not in `held`; None: nothing is told


def told_of(
    value_type: int,
    times: Sequence[int],
    cells: Sequence[int | bytes | None],
    qualities: Sequence[int],
    *,
    summed: bool,
) -> Told:
    """Summarise rows one by one; `summed`: they are of a run that has sums."""
    told = Told(len(times), first_time=times[0], last_time=times[-1])
    numeric = value_type in FIXED
    good: list[tuple[int, int, Number]] = []  # row, cell, what is compared and added
    for i, (value, quality) in enumerate(zip(cells, qualities, strict=True)):
        number = _number(value_type, value)
        severity = 2 if value is None or math.isnan(number) else min(quality >> 30, 2)
        if severity == 0:
            good.append((i, _cell(value_type, value), number))
        told.uncertain += severity == 1
        told.bad += severity == 2
    told.good = len(good)
    told.first_value, told.last_value = (_cell(value_type, cells[i]) for i in (0, -1))
    told.first_quality, told.last_quality = qualities[0], qualities[-1]
    told.ends = (cells[0] is not None) + 2 * (cells[-1] is not None)
    rows = {i for i, _, _ in good}
    told.ends += 4 * (0 in rows) + 8 * (len(times) - 1 in rows)
    pairs = [i for i in range(len(times) - 1) if i in rows and i + 1 in rows]
    told.covered_ns = sum(times[i + 1] - times[i] for i in pairs)
    cell_of = {i: 0 if number == 0 else cell for i, cell, number in good}
    for i in pairs:
        if span := times[i + 1] - times[i]:
            told.held[cell_of[i]] = told.held.get(cell_of[i], 0) + span
    if good:
        told.first_good, told.last_good = good[0][1], good[-1][1]
        told.first_good_time, told.last_good_time = times[good[0][0]], times[good[-1][0]]
    if good and numeric:
        low = min(good, key=lambda row: row[2])
        high = max(good, key=lambda row: row[2])
        told.minimum, told.maximum = low[1], high[1]
        told.minimum_time, told.maximum_time = times[low[0]], times[high[0]]
    steps = list(pairwise(good))
    if value_type == SYMBOL or (summed and numeric):
        told.transitions = sum(a[2] != b[2] for a, b in steps)
        told.resets = sum(numeric and b[2] < a[2] for a, b in steps)
    if summed and numeric and all(math.isfinite(number) for _, _, number in good):
        exact = {i: Fraction(number) for i, _, number in good}
        spans = [(exact[i], exact[i + 1], times[i + 1] - times[i]) for i in pairs]
        told.sums = [
            sum(exact.values(), Fraction(0)),
            sum((v * v for v in exact.values()), Fraction(0)),
            sum((a * span for a, _, span in spans), Fraction(0)),
            sum((b * span for _, b, span in spans), Fraction(0)),
            sum((max(exact[b[0]] - exact[a[0]], Fraction(0)) for a, b in steps), Fraction(0)),
        ]
    return told


def _number(value_type: int, value: int | bytes | None) -> Number:
    if isinstance(value, bytes):
        return _cell(value_type, value)
    if value is None or value_type not in _FORM:
        return value or 0
    size = struct.calcsize(_FORM[value_type])
    number: float = struct.unpack(_FORM[value_type], value.to_bytes(size, "little"))[0]
    return number


def _cell(value_type: int, value: int | bytes | None) -> int:
    if value is None or value_type in (TEXT, BYTES):
        return 0
    if isinstance(value, bytes):
        return int.from_bytes(blake2b(value, digest_size=8).digest(), "little")
    return value % _WORD


def check_run(table: dict[str, np.ndarray], run: int, told: Told) -> None:
    """Compare what the directory says of a run."""
    beside = ("rows", "sums", "first_time", "last_time", "held", "other")
    names = [n for n in vars(told) if n not in beside]
    for name in names:
        if int(table[f"run_{name}"][run]) != getattr(told, name):
            raise DamagedError(f"run_{name} of run {run}: want {getattr(told, name)}")
    known = int(table["run_exact"][run])
    for bit, (name, total) in enumerate(zip(ARRAYS, told.sums, strict=True)):
        parts = [float(table[name + part][run]) for part in ("", "_middle", "_low")]
        if not known >> bit & 1:
            if any(parts):
                raise DamagedError(f"{name} of run {run} is told and not known")
            continue
        if total is None:  # infinities
            if parts[1:] != [0, 0]:
                raise DamagedError(f"{name} of run {run}: an infinity and more")
            continue
        want = expansion(total)
        if parts != want or sum(map(Fraction, want)) != total:
            raise DamagedError(f"{name} of run {run}: got {parts}, want {want}")
    if not known and any(total is not None for total in told.sums[:1]):
        raise DamagedError(f"run {run} knows no sum")


def expansion(total: Fraction) -> list[float]:
    """The sum rounded, what is left rounded, and the rest."""
    parts = []
    for _ in range(3):
        parts.append(float(total))
        total -= Fraction(parts[-1])
    return parts


def read_pyramid(data: bytes, identity: bytes) -> tuple[int, list[Told]]:
    """Type and vectors of a chunk; `identity`: incarnation, segment id, stream."""
    if data[:4] != b"LHPY" or crc32c(identity, data[8:]) != int.from_bytes(data[4:8], "little"):
        raise DamagedError("pyramid checksum")
    part = Cursor(data, 8)
    count, kind, codec = part.number(4), part.number(1), part.number(1)
    present, period = part.number(2), part.number(8)
    begin, mask = int.from_bytes(part.take(8), "little", signed=True), part.number(8)
    scales = [(part.number(2), part.number(1), part.number(1)) for _ in SUMS]
    wide = 18 + sum(words for _, _, words in scales)
    states, mask = mask & _HELD, mask & ~_HELD
    held = [c for c in range(wide) if mask >> c & 1]
    if len(held) != present or mask >> wide:
        raise DamagedError("columns of a pyramid")
    lengths = [varint(part) for _ in range(present + 1)]
    values = [[0] * count for _ in range(4)]
    value_type = kind + 1
    body = part.take(lengths[0])
    if kind < 6:
        groups = 2 if value_type == SYMBOL else 4
        dtype = FIXED.get(value_type, "<u8")
        plain = np.asarray(decode(codec, body, dtype, groups * count)).tolist()
        values[:groups] = [plain[i * count : (i + 1) * count] for i in range(groups)]
    columns = [[0] * count for _ in range(wide)]
    for c, length in zip(held, lengths[1:], strict=True):
        columns[c] = np.asarray(decode(8, part.take(length), "<i8", count)).tolist()
    codes, times = _held(part, count) if states else ([], [])
    if part.at != len(data):
        raise DamagedError("bytes behind a pyramid")
    found: list[Told] = []
    for i in range(count):
        row = [column[i] for column in columns]
        told = _vector(row, [v[i] % _WORD for v in values], value_type, scales)
        shift = found[-1].last_time if found else begin
        for name in _TIMES[: 2 if not told.good else 6 if value_type in FIXED else 4]:
            setattr(told, name, getattr(told, name) + shift)
        _add_what_is_left_out(told, value_type, period)
        if states:
            told.other = times[0][i]
            spans = [column[i] for column in times[1:]]
            spans.insert(0, told.covered_ns - told.other - sum(spans))
            told.held = {code: ns for code, ns in zip(codes, spans, strict=True) if ns}
        found.append(told)
    return value_type, found


def _held(part: Cursor, count: int) -> tuple[list[int], list[list[int]]]:
    """Values held, and a column each: of all but these first, then of all but the first value."""
    codes = [part.number(8) for _ in range(part.number(1))]
    lengths = [varint(part) for _ in codes]
    columns = [
        np.asarray(decode(8, part.take(length), "<i8", count)).tolist() if length else [0] * count
        for length in lengths
    ]
    if len(set(codes)) != len(codes) or not codes:
        raise DamagedError("values held in a pyramid")
    return codes, columns


def _vector(
    row: list[int], cells: list[int], value_type: int, scales: list[tuple[int, int, int]]
) -> Told:
    """One vector, with times from the end of the one before."""
    told = Told(VECTOR - row[0], uncertain=row[1], bad=row[2])
    told.good = told.rows - told.uncertain - told.bad
    told.first_time = row[3]
    told.last_time = told.first_time + row[4]
    told.ends, known = row[11] ^ 15, row[12] ^ 31
    told.first_quality, told.last_quality = row[9], row[10]
    told.covered_ns, told.resets, told.transitions = row[4] - row[13], row[14], row[15]
    told.first_good, told.last_good, told.minimum, told.maximum = cells
    told.first_value = cells[0] ^ row[16] % _WORD
    told.last_value = cells[1] ^ row[17] % _WORD
    if told.good:
        told.first_good_time = told.first_time + row[5]
        told.last_good_time = told.last_time - row[6]
        if value_type in FIXED:
            told.minimum_time = told.first_time + row[7]
            told.maximum_time = told.first_time + row[8]
    at = 18
    for k, (bit, fives, words) in enumerate(scales):
        rest = sum(word % _WORD << 64 * i for i, word in enumerate(row[at : at + words]))
        at += words
        if words and rest >> 64 * words - 1:
            rest -= 1 << 64 * words
        if known >> k & 1:
            told.sums[k] = Fraction(rest) * 5**fives * Fraction(2) ** (bit - 2176)
    return told


def _add_what_is_left_out(told: Told, value_type: int, period: int) -> None:
    if value_type not in FIXED or not told.good:
        return
    ends = [_number(value_type, c) for c in _signed(value_type, told.first_good, told.last_good)]
    if not all(map(math.isfinite, ends)):
        return
    first, last = map(Fraction, ends)
    total, _, stepped, forward, increase = told.sums
    if told.good == told.rows and total is not None and stepped is not None:
        stepped += period * (total - last)
    if told.good == told.rows and stepped is not None and forward is not None:
        forward += stepped + period * (last - first)
    if told.resets == 0 and increase is not None:
        increase += last - first
    told.sums[2:] = [stepped, forward, increase]


def _signed(value_type: int, *cells: int) -> list[int]:
    if FIXED[value_type] != "<i8":
        return list(cells)
    return [cell - _WORD if cell >> 63 else cell for cell in cells]


def check_vector(found: Told, want: Told, place: str) -> None:
    """Compare what a pyramid says of a vector; a sum may be missing from it."""
    for name in (n for n in vars(want) if n not in ("sums", "held", "other")):
        if getattr(found, name) != getattr(want, name):
            got = getattr(found, name)
            raise DamagedError(f"{name} of {place}: got {got}, want {getattr(want, name)}")
    for name, got_sum, total in zip(SUMS, found.sums, want.sums, strict=True):
        if got_sum is not None and got_sum != total:
            raise DamagedError(f"{name} of {place}: got {got_sum}, want {total}")
    if found.other is None:
        return
    if not found.held.items() <= want.held.items() or len(found.held) > _HELD_MAX:
        raise DamagedError(f"values held in {place}: got {found.held}, want {want.held}")
    if found.other != want.covered_ns - sum(found.held.values()):
        raise DamagedError(f"values held in {place}: got {found.other} ns of others")
