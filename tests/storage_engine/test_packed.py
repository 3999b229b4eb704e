"""codec 8, packed: every target writes and reads the same bytes, and a second reader reads them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from storage_engine.codec.kernels import (
    KERNEL,
    KERNELS,
    PackedHint,
    column_decode,
    packed_encode,
)
from storage_engine.codec.packed import Packed
from storage_engine.errors import CorruptData, InvalidArgument, UnsupportedFormat

HERE = Path(__file__).parent
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(HERE.parent))
from native import HEADERS
from second_reader.packed import decode_packed

INT64 = np.dtype(np.int64)
LOWEST, HIGHEST = -(2**63), 2**63 - 1


def encode(values: np.ndarray, hint: PackedHint | None = None) -> bytes:
    """The body, after every target has written the same one and has read it back."""
    values = np.ascontiguousarray(values, np.int64)
    bodies = {packed_encode(values, None, name) for name in KERNELS}
    assert len(bodies) == 1
    body = bodies.pop() if hint is None else packed_encode(values, hint)
    for name in KERNELS:
        decoded = column_decode(8, body, len(values), INT64, kernel=name)
        assert decoded.tobytes() == values.tobytes(), name
    return body


def bits(values: np.ndarray) -> float:
    return 8 * len(encode(values)) / len(values)


def rng(seed: int = 4) -> np.random.Generator:
    return np.random.default_rng(seed)


def shaped(seed: int, rows: int) -> np.ndarray:
    """Columns as plants write them, with parameters drawn at random."""
    draw = rng(seed)
    width = int(draw.integers(0, 64))
    noise = draw.integers(0, (1 << width) - 1, rows, np.int64, endpoint=True)
    noise >>= int(draw.integers(0, 9))
    place = np.arange(rows, dtype=np.int64)
    with np.errstate(over="ignore"):
        values = (
            noise,
            place * draw.integers(-(1 << 50), 1 << 50) + (noise & 1023),
            place * draw.integers(-999, 999) // draw.integers(1, 99) + (noise & 7),
            np.cumsum(noise - (noise >> 1)),
            np.cumsum(np.cumsum(noise & 15)),
            np.where(draw.random(rows) < draw.random() / 5, noise, noise & 3),
            np.where(draw.random(rows) < 0.01, LOWEST, place),
        )[int(draw.integers(7))]
        return values * int(draw.choice([1, 1, 10, 1_000_000, 1 << 20, -(2**63)]))


@settings(deadline=None)
@given(hnp.arrays(np.int64, st.integers(1, 90)))
def test_any_integers_come_back(values):
    """Whatever they are, from each target and from the reader made of the document alone."""
    body = encode(values)

    assert decode_packed(body, len(values)) == values.view(np.uint64).tolist()


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 2**32), st.integers(1, 5000))
def test_shaped_integers_come_back(seed, rows):
    """Grids, walks, curves, outliers; also with a hint that is right, wrong, or old."""
    values, hint = shaped(seed, rows), PackedHint()

    plain = encode(values)
    for column in (values, values, shaped(seed + 1, rows), values):
        assert len(encode(column, hint)) <= 9 * rows + 100
    assert decode_packed(plain, rows) == values.view(np.uint64).tolist()


@pytest.mark.parametrize(
    "values",
    [
        [LOWEST],
        [HIGHEST, LOWEST],
        [LOWEST, HIGHEST] * 700,
        [LOWEST] * 1023 + [HIGHEST],
        [0] * 1024 + [1],
        [7] * 5000,
        [-1] * 1024,
        [3] * 500 + [HIGHEST] + [3] * 523,
        [3] * 500 + [LOWEST] + [4] * 1000,
        list(range(LOWEST, LOWEST + 3000)),
        list(range(HIGHEST - 3000, HIGHEST)),
        [0, 1] * 512 + [2**62] * 100,
        [i * i for i in range(3000)],
        [-i * 10**15 for i in range(3000)],
    ],
    ids=lambda v: f"{v[0]}..{v[-1]} x {len(v)}",
)
def test_traps_come_back(values):
    """The ends of the range, wrapping differences, all equal, one far away, one row."""
    column = np.array(values, np.int64)

    body = encode(column)

    assert decode_packed(body, len(column)) == column.view(np.uint64).tolist()


def test_unsigned_values_above_2_63_come_back():
    """A stamp may have its highest bit set, and a column may cross it."""
    for start in (2**63 - 900, 2**64 - 5000):
        values = np.arange(4000, dtype=np.uint64) + np.uint64(start)
        values[7::100] -= np.uint64(3)
        body = Packed().encode(values)

        assert body is not None
        assert len(body) < 400
        assert Packed().decode(memoryview(body), 4000, values.dtype).tobytes() == values.tobytes()


def test_values_that_may_not_be_written_are_encoded():
    """Columns mapped from a file, or views of a frame's bytes."""
    values = np.arange(3000, dtype=np.int64)
    values.flags.writeable = False
    body = Packed().encode(values)

    assert body is not None
    assert np.array_equal(Packed().decode(memoryview(body), 3000, values.dtype), values)


@pytest.mark.parametrize("dtype", ["?", "u1", "i1", "<u2", "<i2", "<u4", "<i4", "<i8", "<u8"])
def test_every_width_of_integers(dtype):
    """Narrow values are the low bytes; a sign is not lost."""
    values = rng().integers(0, 256, 3000 * np.dtype(dtype).itemsize, np.uint8).view(dtype)
    if dtype == "?":
        values = values.view(np.uint8) > 200
    for column in (values, np.sort(values), values[:5]):
        body = Packed().encode(column)
        assert body is not None
        decoded = Packed().decode(memoryview(body), len(column), column.dtype)
        assert (decoded.dtype, decoded.tobytes()) == (column.dtype, column.tobytes())


def test_what_is_no_integer_is_refused():
    """Floats are another codec's."""
    assert Packed().encode(np.zeros(3)) is None
    assert Packed().encode(np.zeros(0, np.int64)) is None
    with pytest.raises(CorruptData):
        Packed().decode(memoryview(b"\0\0"), 3, np.dtype("<f8"))
    with pytest.raises(UnsupportedFormat, match="codec 3"):
        column_decode(3, b"", 3, INT64)
    with pytest.raises(InvalidArgument):
        packed_encode(np.zeros(0, np.int64))


@pytest.mark.parametrize("width", range(65))
def test_every_width_comes_back(width):
    """A whole vector in lanes and the last one as a stream, with the highest bit in use."""
    values = rng(width).integers(0, 2**64, 1024 + 333, np.uint64) & np.uint64((1 << width) - 1)
    values[:2] = 0, (1 << width) - 1
    body = encode(values.view(np.int64))

    assert decode_packed(body, len(values)) == values.tolist()


def test_every_length_of_the_last_vector():
    """1 to 1,023 rows, alone and behind a whole vector; each vector is read alone, too."""
    values = np.cumsum(rng().integers(-50, 50, 2047))
    values[::60] += 1 << 40
    for rows in range(1, 1024):
        encode(values[:rows])
    for rows in range(1025, 2048, 31):
        body = encode(values[:rows])
        for first, count in ((0, 1024), (1024, rows - 1024)):
            part = column_decode(8, body, rows, INT64, first, count)
            assert part.tolist() == values[first : first + count].tolist()


@pytest.mark.parametrize("vectors", [1, 2, 8, 100])
def test_whole_vectors_are_read_alone(vectors):
    """No state goes from one to the next."""
    values = shaped(5, 1024 * vectors)
    body = encode(values)

    for k in range(0, vectors, 7):
        part = column_decode(8, body, len(values), INT64, 1024 * k, 1024)
        assert part.tobytes() == values[1024 * k : 1024 * k + 1024].tobytes()
    for first, count in ((1, 1024), (0, 1), (1024 * vectors, 1024), (0, 1024 * vectors + 1)):
        with pytest.raises(InvalidArgument):
            column_decode(8, body, len(values), INT64, first, count)


def test_a_grid_costs_nothing_and_a_jittered_one_its_jitter():
    """What the format promises for times."""
    grid = np.arange(8192) * 1_000_000_000 + 1_750_000_000_000_000_000
    assert len(encode(grid)) <= 16
    assert len(encode(grid[::-1])) <= 16
    assert len(encode(np.full(8192, 2**40))) <= 9
    for width in (1, 2, 5, 11):
        jitter = rng().integers(0, 1 << width, 8192)
        assert width < bits(grid + jitter * 1_000_000) < width + 0.11
        assert width < bits(grid + jitter) < width + 0.2
        drifting = grid + np.arange(8192) * 10_007 // 1000 + jitter * 3 // 4
        assert width < 5 or bits(drifting) < width + 0.2
    gaps = np.delete(grid, [7, 500, 4000, 4001, 8000])
    assert bits(gaps) < 0.15


def test_outliers_are_patched():
    """One far value costs itself; two sides, too."""
    values = rng().integers(100, 228, 8192)
    plain = bits(values)
    for far in (2**40, -(2**40)):
        some = values.copy()
        some[::500] = far
        assert bits(some) < plain + 0.2


def test_a_hint_costs_little():
    """Ten columns of one kind: what won before wins again, at about the size of the full choice."""
    hint, with_hint, without = PackedHint(), 0, 0
    for seed in range(10):
        values = np.arange(8192) * 1_000_000_007 + rng(seed).integers(0, 3000, 8192)
        with_hint += len(encode(values, hint))
        without += len(encode(values))

    assert with_hint < 1.05 * without


@pytest.mark.parametrize("seed", range(12))
def test_every_cut_and_every_bit(seed):
    """A damaged body is refused, or gives as many values, the same ones on every target."""
    values = shaped(seed, 150)
    body = encode(values)
    flips = [
        body[:at] + bytes([body[at] ^ 1 << bit]) + body[at + 1 :]
        for at in range(len(body))
        for bit in range(8)
    ]
    assert any(body[1:])
    for damaged in (*flips, *(body[:cut] for cut in range(len(body))), body + b"\0"):
        answers = set()
        for name in KERNELS:
            try:
                answers.add(column_decode(8, damaged, 150, INT64, kernel=name).tobytes())
            except CorruptData:
                answers.add(b"")
        assert len(answers) == 1
        if len(damaged) != len(body):
            assert answers == {b""}


def test_the_kernels_can_be_forced():
    """A name that does not run here is refused, never replaced by another."""
    command = [
        sys.executable,
        "-c",
        "from storage_engine.codec.kernels import KERNEL as k; print(k)",
    ]
    for name in (*KERNELS, "avx1024"):
        run = subprocess.run(
            command,
            env={**os.environ, "HISTORIAN_KERNELS": name},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (run.stdout.strip() == name) == (name in KERNELS)
        assert ("cannot choose kernels" in run.stderr) == (name not in KERNELS)
    assert KERNEL in KERNELS
    with pytest.raises(InvalidArgument, match="want one of"):
        packed_encode(np.zeros(1, np.int64), None, "avx1024")


def test_no_kernel_steps_out_of_bounds(tmp_path):
    """Bare C under sanitizers: bodies cut and with bits turned, allocated to the byte."""
    program = tmp_path / "bodies"
    flags = ["-std=c11", "-D_GNU_SOURCE", "-g1", "-O0", "-Wall", "-Wextra", "-Wno-unused-function"]
    # Unaligned vectors are meant; the other three would triple the time to compile.
    checks = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    less = "-fno-sanitize=alignment,null,object-size,pointer-overflow"
    small = ["--param", "asan-instrumentation-with-call-threshold=0"]
    compiler = [os.environ.get("CC", "cc"), *flags, *checks, less, *small, HEADERS]
    source = str(HERE / "packed_bodies.c")
    subprocess.run([*compiler, source, "-o", str(program)], check=True)

    run = subprocess.run([str(program)], capture_output=True, text=True, check=False)

    assert run.stderr == ""
    assert run.returncode == 0, run.stdout
