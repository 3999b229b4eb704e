"""The fold in plain Python over fractions: what the kernels are compared with."""

import math
import struct
from fractions import Fraction

import numpy as np

from storage_engine.fold_state import STATE

SPECIAL = {(True, False): math.inf, (False, True): -math.inf, (True, True): math.nan}


class Total:
    """An exact sum with sticky infinities."""

    def __init__(self):
        self.value, self.up, self.down = Fraction(0), False, False

    def add(self, x, by=1):
        if isinstance(x, float) and math.isinf(x):
            self.up |= x * by > 0
            self.down |= x * by < 0
        else:
            self.value += Fraction(x) * by

    def expansion(self):
        if self.up or self.down:
            return [SPECIAL[self.up, self.down], 0.0, 0.0], True
        rest, found = self.value, []
        for _ in range(3):
            try:
                part = float(rest)
            except OverflowError:
                part = math.inf if rest > 0 else -math.inf
            found.append(part + 0.0)
            if math.isinf(part):
                return found + [0.0] * (3 - len(found)), False
            rest -= Fraction(part)
        return found, rest == 0


def cell(kind, x):
    form = {0: "<d", 1: "<f", 2: "<q", 3: "<Q", 4: "<Q"}[kind]
    return int.from_bytes(struct.pack(form, x).ljust(8, b"\0"), "little")


def fold(kind, times, values, qualities, valids):
    """One state as a row of STATE, and its exact sums."""
    row = np.zeros(1, STATE)[0]
    totals = {name: Total() for name in ("sum", "squares", "stepped", "forward", "increase")}
    before, last_good, low, high = None, None, 0, 0
    for i, (time, given, quality, valid) in enumerate(
        zip(times, values, qualities, valids, strict=True)
    ):
        x = (float(given) if kind < 2 else int(given)) if valid else 0
        level = min(quality >> 30, 2) if valid and not math.isnan(x) else 2
        row[("good", "uncertain", "bad")[level]] += 1
        flag = bool(valid) | (level == 0) << 2
        bits = cell(kind, x) if valid else 0
        if i == 0:
            row["first"], row["first_time"], row["first_quality"] = bits, time, quality
            row["flags"] = (flag & 1) | (flag & 4)
        row["last"], row["last_time"], row["last_quality"] = bits, time, quality
        row["flags"] = (row["flags"] & 5) | (flag & 1) << 1 | (flag & 4) << 1
        row["rows"] += 1
        if level == 0:
            if last_good is None:
                row["first_good"], row["first_good_time"] = bits, time
            if last_good is None or x < low:
                low, row["minimum"], row["minimum_time"] = x, bits, time
            if last_good is None or x > high:
                high, row["maximum"], row["maximum_time"] = x, bits, time
            totals["sum"].add(x)
            totals["squares"].add(abs(x) if math.isinf(x) else Fraction(x) ** 2)
            if last_good is not None:
                row["transitions"] += x != last_good
                row["resets"] += x < last_good
                if x > last_good:
                    totals["increase"].add(x)
                    totals["increase"].add(-last_good)
            if before is not None and time > before[0]:
                row["covered_ns"] += np.uint64(time - before[0])
                totals["stepped"].add(before[1], time - before[0])
                totals["forward"].add(x, time - before[0])
            row["last_good"], row["last_good_time"] = bits, time
            last_good = x
        before = (time, x) if level == 0 else None
    for k, (name, total) in enumerate(totals.items()):
        row[name], fits = total.expansion()
        row["exact"] |= fits << k
    return row, totals
