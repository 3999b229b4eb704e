"""codecs 9 to 15: every target writes one body, and a second reader gives back the same bits."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from storage_engine.codec import NUMBER_CODECS, decode_numbers, encode_cold, encode_numbers
from storage_engine.codec.choice import Recipe, Recipes
from storage_engine.codec.composite import plans_of, with_last_stage
from storage_engine.codec.kernels import KERNELS, column_decode
from storage_engine.codec.plans import Plan
from storage_engine.errors import CorruptData, DataError

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))
from native import HEADERS
from second_reader.codecs import decode as second_decode

NAN = np.array([0x7FF8_0000_0000_1234, 0xFFF0_0000_0000_0001], np.uint64).view(np.float64)
WALK = np.random.default_rng(7).normal(0, 0.02, 5000).cumsum() + 70
COUNTS = np.random.default_rng(8).integers(1500, 2500, 5000)
SHAPES = {
    "decimals": np.round(WALK, 2),
    "decimals of many places": np.round(WALK, 9),
    "computed decimals": np.round(WALK, 3) * 1.1 / 1.1,
    "converter": COUNTS * (16.0 / 4095.0),
    "converter with a range below zero": COUNTS * (150 / 4095) - 50,
    "real": WALK * 1.8 + 32,
    "reals around zero": (WALK - 70) ** 3,
    "steps": np.repeat(np.round(WALK[:50], 1), 100),
    "few values": np.sqrt(COUNTS[COUNTS < 1520] * 1.0),
    "gaps": np.where(COUNTS % 17 == 0, np.nan, np.round(WALK, 2)),
    "nan payloads": np.where(COUNTS % 29 == 0, NAN[COUNTS % 2], np.round(WALK, 2)),
    "minus zero": np.where(COUNTS % 19 == 0, -0.0, np.round(WALK, 1)),
    "infinities": np.where(COUNTS % 31 == 0, -np.inf, np.round(WALK, 1)),
    "denormals": COUNTS * 5e-324,
    "one huge": np.where(np.arange(5000) == 77, 1.7e308, np.round(WALK, 2)),
    "beyond 2^53": COUNTS * 2.0**52 + WALK,
    "one ulp off": np.nextafter(np.round(WALK, 2), np.where(COUNTS % 3 == 0, 0, 99)),
    "nothing but exceptions": np.random.default_rng(9).integers(0, 2**63, 2000).view(np.float64),
    "one row": np.array([0.1]),
    "a vector and one": np.round(WALK[:1025], 3),
}


def plans(values: np.ndarray) -> list[Plan]:
    """All that the choice tries, and each kind whether it is likely or not."""
    known = plans_of(values)
    forced = [Plan(codec) for codec in (9, 10, 11)] if values.dtype.kind == "f" else []
    return [*known, *forced, Plan(13, 1), Plan(14, 1), Plan(13, 11), Plan(14, 11)]


def again(plan: Plan) -> list[Plan]:
    """The plan for each target, so that none knows what won on another."""
    return [plan.copy() for _ in KERNELS]


def check(values: np.ndarray) -> int:
    """Every plan on every target; the count of those that fit."""
    fitting = 0
    for plan in plans(values):
        bodies = {
            fresh.encode(values, name) for fresh, name in zip(again(plan), KERNELS, strict=True)
        }
        body = plan.encode(values)
        if body is None:
            continue
        fitting += 1
        assert len(bodies) == 1
        for name in KERNELS:
            out = column_decode(plan.codec, body, len(values), values.dtype, kernel=name)
            assert out.tobytes() == values.tobytes(), (plan.codec, name)
            for first in range(0, len(values), 1024):
                count = min(1024, len(values) - first)
                args = (plan.codec, body, len(values), values.dtype, first, count, name)
                part = column_decode(*args)
                assert part.tobytes() == values[first : first + count].tobytes()
        with np.errstate(all="ignore"):
            kind = f"<u{values.itemsize}"
            read = second_decode(plan.codec, body, kind, len(values))
        assert read.tobytes() == values.tobytes(), plan.codec
    return fitting


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_floats_of_plants_come_back(shape, dtype):
    """Bit for bit on every target, a vector at a time, and by the reader of codecs.md."""
    with np.errstate(all="ignore"):
        values = SHAPES[shape].astype(dtype)

    assert check(values) >= 1


@settings(deadline=None, max_examples=60)
@given(hnp.arrays(st.sampled_from(["<f8", "<f4", "<i8", "<u8", "<u4", "|u1"]), st.integers(1, 70)))
def test_any_values_come_back(values):
    """Whatever fits is exact; what does not fit is refused."""
    check(values)
    for codec, body in (encode_numbers(values), encode_cold(values)):
        decoded = decode_numbers(codec, memoryview(body), len(values), values.dtype)
        assert decoded.tobytes() == values.tobytes()


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 18), st.integers(0, 2**32), st.integers(1, 3000))
def test_decimals_have_no_exceptions(places, seed, rows):
    """Whatever text a number came from: its integer and ten to the places give it back."""
    rng = np.random.default_rng(seed)
    values = rng.integers(-(2**45), 2**45, rows) / 10.0**places

    codec, body = encode_numbers(values)

    assert decode_numbers(codec, memoryview(body), rows, values.dtype).tobytes() == values.tobytes()
    assert len(body) * 8 <= rows * 56 + 800


def divided(integers: np.ndarray, places: int, kernel: str) -> np.ndarray:
    """Decode a body of codec 9 made by hand: raw integers."""
    raw = integers.astype("<i8").tobytes()
    body = bytes([places, 0, 1]) + len(raw).to_bytes(4, "little") + raw
    return column_decode(9, body, len(integers), np.dtype(np.float64), kernel=kernel)


@pytest.mark.parametrize("places", range(23))
def test_the_corrected_multiplication_is_the_division(places):
    """Half a million integers for each power of ten, those next to ties and powers among them."""
    rng = np.random.default_rng(places)
    power = 10**places
    wide = rng.integers(-(2**63), 2**63, 200_000) >> rng.integers(0, 63, 200_000)
    near = [
        n * power // 2 + d
        for n in rng.integers(1, 1 << 20, 20_000).tolist()
        for d in (-1, 0, 1)
        if n * power // 2 + d < 2**63
    ]
    edges = [s * (2**e + d) for e in range(1, 63) for d in (-2, -1, 0, 1, 2) for s in (1, -1)]
    # Quotients close to the middle between two doubles: i = round((m + 1/2) * 2^e * 10^k).
    middles = []
    for m in rng.integers(2**52, 2**53, 20_000).tolist():
        shift = max(0, (2 * m + 1).bit_length() + power.bit_length() - 62)
        middles.append(((2 * m + 1) * power) >> shift)
    lists = [np.array(x, np.int64) for x in (near or [0], edges, middles)]
    integers = np.concatenate([wide, rng.integers(-(2**53), 2**53, 200_000), *lists])

    expected = integers.astype(np.float64) / float(power)

    for kernel in KERNELS:
        assert divided(integers, places, kernel).tobytes() == expected.tobytes(), kernel


@pytest.mark.parametrize("shape", ["decimals", "computed decimals", "gaps", "steps", "real"])
@pytest.mark.parametrize("codec", range(9, 16))
def test_damaged_bodies_are_refused_or_give_some_values(shape, codec):
    """Every prefix is refused; a flipped bit never crashes and never hangs."""
    values = SHAPES[shape][:1500]
    body = NUMBER_CODECS[codec].encode(values)
    if body is None:
        body = bytes(40)
    step = max(1, len(body) // 150)
    for place in range(0, len(body), step):
        flipped = body[:place] + bytes([body[place] ^ 1 << place % 8]) + body[place + 1 :]
        for damaged in (body[:place], flipped):
            try:
                out = NUMBER_CODECS[codec].decode(memoryview(damaged), 1500, values.dtype)
            except DataError:
                continue
            assert len(out) == 1500
            assert damaged is flipped


@pytest.mark.parametrize("last", [3, 4, 15])
@pytest.mark.parametrize("shape", ["decimals", "converter", "real", "few values"])
def test_a_last_stage_comes_back(last, shape):
    """A stage of zstd or pco below a grid is undone outside of the kernels."""
    values = SHAPES[shape]
    for plan in plans_of(values):
        if plan.codec not in {9, 10, 11, 13}:
            continue
        plain = (plans_of(values)[0] if plan.codec == 13 else plan).of(plan.codec, plain=True)
        body = plain.encode(values)
        if body is None:
            continue
        packed = with_last_stage(plan.codec, body, last)
        codec = NUMBER_CODECS[plan.codec]
        decoded = codec.decode(memoryview(packed), len(values), values.dtype)
        assert decoded.tobytes() == values.tobytes()
        assert second_decode(plan.codec, packed, "<u8", len(values)).tobytes() == values.tobytes()
        with pytest.raises(CorruptData):
            codec.decode(memoryview(packed[:-1]), len(values), values.dtype)


def test_composites_in_composites_end():
    """A body that contains itself for ever would ask for memory for ever."""
    body = NUMBER_CODECS[9].encode(np.round(WALK[:100], 2))
    for _ in range(5):
        body = (1).to_bytes(4, "little") + bytes([9]) + len(body).to_bytes(4, "little") + body
    with pytest.raises(CorruptData):
        column_decode(14, body, 100, np.dtype(np.float64))


def test_what_won_is_tried_first_and_given_up_when_it_no_longer_fits():
    """A tag keeps its character for years; when it changes, so does the recipe."""
    recipe = Recipe()
    first, _ = encode_numbers(np.round(WALK, 2), recipe)
    plan = recipe.plan
    again, _ = encode_numbers(np.round(WALK + 1, 2), recipe)
    assert (first, again, recipe.plan, recipe.blocks) == (9, 9, plan, 1)

    codec, body = encode_numbers(WALK * 1.8, recipe)

    assert codec in {11, 12}
    assert recipe.plan is not plan
    assert len(body) < 0.8 * WALK.nbytes


def test_recipes_are_bounded_and_the_oldest_goes():
    """A million tags must not keep a million recipes."""
    recipes = Recipes(count_max=2)
    kept = recipes.of(1, 4, 0)
    recipes.of(2, 4, 0)
    assert recipes.of(1, 4, 0) is kept
    recipes.of(3, 4, 0)
    assert len(recipes) == 2
    assert recipes.of(1, 4, 0) is kept


@pytest.mark.parametrize(
    ("shape", "bits"), [("decimals", 5), ("converter", 12), ("steps", 1), ("gaps", 8)]
)
def test_sizes_stay(shape, bits):
    """Sizes are the same on every machine: what a plant writes must stay small."""
    values = SHAPES[shape]
    assert 8 * len(encode_numbers(values)[1]) / len(values) <= bits
    assert len(encode_cold(values)[1]) <= len(encode_numbers(values)[1])


def test_no_kernel_steps_out_of_bounds(tmp_path):
    """Bare C under sanitizers: bodies cut and with bits turned, allocated to the byte."""
    program = tmp_path / "bodies"
    flags = ["-std=c11", "-D_GNU_SOURCE", "-g1", "-O0", "-Wall", "-Wextra", "-Wno-unused-function"]
    checks = ["-ffp-contract=off", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    # Unaligned vectors are meant; the other three would triple the time to compile.
    less = "-fno-sanitize=alignment,null,object-size,pointer-overflow"
    small = ["--param", "asan-instrumentation-with-call-threshold=0"]
    here = Path(__file__).parent
    source = str(here / "composite_bodies.c")
    compiler = [os.environ.get("CC", "cc"), *flags, *checks, less, *small, HEADERS, source]
    subprocess.run([*compiler, "-o", str(program), "-lm"], check=True)

    run = subprocess.run([str(program)], capture_output=True, text=True, check=False)

    assert run.stderr == ""
    assert run.returncode == 0, run.stdout
