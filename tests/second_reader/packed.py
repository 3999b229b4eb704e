"""Codec 8, from codecs.md: one value after the other, in whole numbers without end."""

from collections.abc import Iterator

from second_reader.words import Cursor, DamagedError

WORD = 1 << 64
VECTOR = 1024


def decode_packed(body: bytes, rows: int) -> list[int]:
    """Values of a body, 0 <= value < 2^64."""
    part = Cursor(body)
    form, sizes = part.number(1), part.number(1)
    anchor, step = _signed(part, sizes & 15), _signed(part, sizes >> 4)
    if form == 0:
        if part.at != len(body):
            raise DamagedError("a line and more")
        return [(anchor + i * step) % WORD for i in range(rows)]
    if form != 1:
        raise DamagedError(f"form {form}")
    step = step if sizes >> 4 else 1
    lengths = [part.number(2) for _ in range(0, rows, VECTOR)]
    values: list[int] = []
    for length in lengths:
        vector = Cursor(part.take(length))
        values += _vector(vector, min(rows - len(values), VECTOR))
        if vector.at != length:
            raise DamagedError("a vector longer than its fields")
    if part.at != len(body):
        raise DamagedError("bytes behind the last vector")
    return [(anchor + step * q) % WORD for q in values]


def _signed(part: Cursor, size: int) -> int:
    if size > 8:
        raise DamagedError(f"number of {size} bytes")
    return int.from_bytes(part.take(size), "little", signed=True)


def _wrapped(number: int) -> int:
    """The signed number of 64 bits that is equal modulo 2^64."""
    return (number + WORD // 2) % WORD - WORD // 2


def _vector(part: Cursor, rows: int) -> list[int]:
    head, width = part.number(1), part.number(1)
    base = _signed(part, head >> 4)
    mode, slope, first, shift = head & 7, 0, 0, 0
    if mode > 3 or width > 64:
        raise DamagedError(f"mode {mode}, width {width}")
    if mode:
        sizes = part.number(1)
        slope = _signed(part, sizes & 15)
        shift = sizes >> 4 if mode == 1 else 0
        first = _signed(part, sizes >> 4) if mode == 3 else 0
        if mode == 2 and sizes >> 4:
            raise DamagedError("delta with a first difference")
    patches = high_width = 0
    if head & 8:
        patches, high_width = part.number(1) + 1, part.number(1)
        if not 0 < high_width <= 64 or width == 64 or patches > rows:
            raise DamagedError(f"{patches} patches of {high_width} bits")
    numbers = list(_lanes(part, width) if rows == VECTOR else _stream(part, width, rows))
    before = -1
    places = list(_stream(part, 10, patches))
    for place, high in zip(places, _stream(part, high_width, patches), strict=True):
        if not before < place < rows:
            raise DamagedError(f"patch at {place}")
        sign = high >> high_width - 1
        numbers[place] += high - (sign << high_width) << width
        before = place
    if mode < 2:
        return [base + (_wrapped(i * slope) >> shift) + u for i, u in enumerate(numbers)]
    values = [base]
    for i in range(1, rows):
        if mode == 2:
            values.append(values[-1] + slope + numbers[i])
        elif i == 1:
            values.append(base + first)
        else:
            values.append(2 * values[-1] - values[-2] + slope + numbers[i])
    return values


def _lanes(part: Cursor, width: int) -> Iterator[int]:
    words = [part.number(8) for _ in range(16 * width)]
    lanes = [sum(words[16 * j + lane] << 64 * j for j in range(width)) for lane in range(16)]
    for i in range(VECTOR):
        yield lanes[i % 16] >> i // 16 * width & (1 << width) - 1


def _stream(part: Cursor, width: int, count: int) -> Iterator[int]:
    bits = int.from_bytes(part.take((count * width + 7) // 8), "little")
    for i in range(count):
        yield bits >> i * width & (1 << width) - 1
