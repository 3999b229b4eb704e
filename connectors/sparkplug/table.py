"""Metrics of a node or a device, and how the values of its messages become samples."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from connectors.sink import Reject
from connectors.sparkplug import decode
from connectors.sparkplug.decode import Payload
from connectors.sparkplug.metric import Metric, reject, whole
from connectors.sparkplug.metric import held as held_of
from connectors.sparkplug.samples import Samples
from connectors.sparkplug.structures import data_set, properties_of
from connectors.sparkplug.values import (
    DATA_SET,
    ELEMENTS,
    TEMPLATE,
    name_of,
    scalar,
)
from storage_engine.sample import (
    BAD,
    BAD_NO_DATA,
    GOOD,
    UNCERTAIN_LAST_USABLE_VALUE,
    ValueType,
)

# Property "Quality" (3.0.0, 6.4.14): bad, good, stale.
_QUALITIES = {0: BAD, 192: GOOD, 500: UNCERTAIN_LAST_USABLE_VALUE}
_MILLION = 1_000_000
_TIME_MS_MAX = (1 << 63) // _MILLION - 1


@dataclass(slots=True)
class Counts:
    """What is counted and not stored, or stored as something special."""

    historical: int = 0
    transient: int = 0
    unknown: int = 0  # metrics that are in no birth


class Table:
    """Metrics of a node or a device, as its last birth gave them.

    Parameters
    ----------
    scope : str
        Address of the node or the device.
    metrics : list of Metric
    samples : Samples
        Gives addresses their index.
    """

    def __init__(self, scope: str, metrics: list[Metric], samples: Samples) -> None:
        self.scope = scope
        self._stranger_told = False  # once a birth is enough for the quarantine
        aliased = [metric for metric in metrics if metric.alias is not None]
        aliased.sort(key=lambda metric: metric.alias or 0)
        self.rows = aliased + [metric for metric in metrics if metric.alias is None]
        self.aliases = np.array([metric.alias for metric in aliased], np.uint64)
        self.datatypes = np.array([min(metric.datatype, 255) for metric in self.rows], np.uint8)
        self.names = {metric.name.encode(): row for row, metric in enumerate(self.rows)}
        self.series = np.array(
            [
                -1
                if metric.type is None or metric.elements >= 0
                else samples.series(metric.address)
                for metric in self.rows
            ],
            np.int32,
        )

    def signature(self) -> tuple[tuple[str, int | None, int], ...]:
        """What has to be equal for an older message to be understood with this table."""
        return tuple((metric.name, metric.alias, metric.datatype) for metric in self.rows)

    def leaves(self) -> set[tuple[ValueType, str]]:
        """Type and address of each series."""
        return {leaf for metric in self.rows for leaf in metric.leaves()}

    def values(
        self,
        payload: Payload,
        early_ms: int,
        samples: Samples,
        counts: Counts,
        *,
        refused: list[int] | None = None,
    ) -> tuple[list[Reject], bool]:
        """Turn the metrics of a message into samples.

        Parameters
        ----------
        payload : Payload
        early_ms : int
            Time of metrics without one.
        samples : Samples
        counts : Counts
        refused : list of int, optional
            Of a birth: metrics that were refused as it was read.

        Returns
        -------
        list of Reject
            What cannot become one.
        bool
            A metric is in no birth.
        """
        bound, left = decode.bind(
            payload, self.aliases, self.datatypes, self.series, self.names, early_ms
        )
        if refused:
            bound[0, refused] = bound[4, refused] = -1
            left = payload.count
        samples.bound(bound, left)
        info = payload.columns[decode.INFO]
        plain = info if not left else info[bound[0] >= 0]
        counts.historical += int(np.count_nonzero(plain & decode.HISTORICAL))
        rejects: list[Reject] = []
        unknown = 0
        for k in (bound[0] < 0).nonzero()[0].tolist() if left else ():
            row = int(bound[4, k])
            if row < 0:
                if refused is not None:
                    continue
                unknown += 1
                if not self._stranger_told:
                    self._stranger_told = True
                    rejects.append(self._stranger(payload, k))
                continue
            metric = self.rows[row]
            try:
                _store(payload, k, metric, early_ms, GOOD, samples=samples, counts=counts)
            except ValueError as error:
                rejects.append(reject(metric.address, error, payload, k))
        counts.unknown += unknown
        return rejects, unknown > 0

    def _stranger(self, payload: Payload, k: int) -> Reject:
        """Say which metric nobody knows; of many in one message, the first."""
        flags, alias = int(payload.columns[decode.INFO, k]), int(payload.columns[decode.ALIAS, k])
        what = f"alias {alias % (1 << 64)}" if flags & decode.HAS_ALIAS else "a name"
        error = ValueError(f"got {what}, want a metric of the last birth")
        return reject(self.scope, error, payload, k)


def _time_ns(time_ms: int) -> int:
    if not 0 <= time_ms <= _TIME_MS_MAX:
        raise ValueError(f"got the time {time_ms} ms, want one until the year 2262")
    return time_ms * _MILLION


def _store(
    payload: Payload,
    k: int,
    metric: Metric,
    early_ms: int,
    quality: int,
    *,
    samples: Samples,
    counts: Counts,
) -> None:
    """Turn one metric that is no plain number into samples, or one that is, outside a table."""
    info, time_ms = int(payload.columns[decode.INFO, k]), int(payload.columns[decode.TIME, k])
    if metric.is_definition:
        return
    if info & decode.TRANSIENT:
        counts.transient += 1
        return
    time_ms = early_ms if time_ms == decode.NO_TIME else time_ms
    timestamp_ns = _time_ns(time_ms)
    if info & decode.PROPERTIES:
        quality = _quality(properties_of(whole(payload, k))[0], quality)
    kind, held = held_of(payload, k)
    if info & decode.IS_NULL:
        for type_, address in metric.leaves():
            samples.one(type_, address, timestamp_ns, quality or BAD_NO_DATA, None)
    elif kind == 0:
        raise ValueError("got no value, want one, or is_null")
    elif metric.members or metric.datatype == TEMPLATE:
        _store_members(held, metric, time_ms, quality, samples=samples, counts=counts)
    else:
        _store_value(metric, kind, held, timestamp_ns, quality, samples=samples)
    counts.historical += bool(info & decode.HISTORICAL)


def _store_members(
    held: int | bytes,
    metric: Metric,
    early_ms: int,
    quality: int,
    *,
    samples: Samples,
    counts: Counts,
) -> None:
    if isinstance(held, int):
        raise ValueError(f"got the number {held}, want a template")
    inner = Payload(held, template=True)
    for k in range(inner.count):
        name = inner.name(k)
        member = metric.members.get(name) if name is not None else None
        if member is None:
            raise ValueError(f"got the member {name!r}, want one of {sorted(metric.members)}")
        _store(inner, k, member, early_ms, quality, samples=samples, counts=counts)


def _store_value(
    metric: Metric,
    kind: int,
    held: int | bytes,
    timestamp_ns: int,
    quality: int,
    *,
    samples: Samples,
) -> None:
    if metric.type is None:
        raise ValueError(f"got a {name_of(metric.datatype)}, want a datatype of a metric")
    value: Any
    if metric.datatype == DATA_SET:
        if isinstance(held, int):
            raise ValueError(f"got the number {held}, want a data set")
        value = orjson.dumps(data_set(held)).decode()
    else:
        value = scalar(metric.datatype, kind, held)
    if metric.elements >= 0:
        # Elements that an earlier array had and this has not are without value now.
        metric.elements = max(metric.elements, len(value))
        for k in range(metric.elements):
            here = k < len(value)
            status = quality if here else quality or BAD_NO_DATA
            each = value[k] if here else None
            samples.one(metric.type, f"{metric.address}[{k}]", timestamp_ns, status, each)
        return
    if metric.datatype in ELEMENTS:
        value = orjson.dumps(value).decode()
    samples.one(metric.type, metric.address, timestamp_ns, quality, value)


def _quality(found: dict[str, Any], inherited: int) -> int:
    code = found.get("Quality")
    if code is None:
        return inherited
    if code not in _QUALITIES:
        raise ValueError(f"got the quality {code!r}, want 0, 192 or 500")
    return max(_QUALITIES[code], inherited)
