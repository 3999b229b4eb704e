"""Tasmota devices: telemetry, results, power states and the last will.

Addresses are ``<device>/<part>/<field>``, for example ``meter1/ENERGY/Power``.
"""

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from connectors.payload.found import Found, Message
from connectors.payload.times import is_set, local_time_ns
from connectors.payload.values import Refused, shown
from connectors.settings import Table

_PREFIXES = ("tele", "stat")
_SWITCHED = {"ON": True, "OFF": False}
_WILL = {"Online": True, "Offline": False}


class Tasmota:
    """Every field is a tag, energies in kWh as the device counts them.

    Parameters
    ----------
    table : Table
        ``timezone``: of the devices' clocks, which write local time without it; default UTC.
    """

    timed = False  # telemetry has a time; power states and the last will have none

    def __init__(self, table: Table) -> None:
        name = table.text("timezone", "UTC")
        try:
            self._zone = ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise table.refuse("timezone", name, "a name like Europe/Berlin") from None

    def map(self, message: Message, found: Found) -> None:
        """Map by the end of the topic; ``tele`` or ``stat`` may stand anywhere before."""
        *before, last = message.levels
        if not any(prefix in before for prefix in _PREFIXES):
            got = shown(message.topic)
            raise Refused(f"cannot map topic: got {got}, want one with tele or stat in it")
        prefix = next(prefix for prefix in _PREFIXES if prefix in before)
        before.remove(prefix)
        device = "/".join(before)
        if not device:
            raise Refused(f"cannot map topic: got {shown(message.topic)}, want a device in it")
        if last == "LWT":
            self._word(f"{device}/online", message, _WILL, found)
        elif last.startswith("POWER"):
            self._word(f"{device}/{last}", message, _SWITCHED, found)
        else:
            self._object(device, message, found)

    def _word(self, address: str, message: Message, words: dict[str, bool], found: Found) -> None:
        text = message.text()
        if text not in words:
            want = " or ".join(words)
            raise Refused(f"cannot read {address[:80]!r}: got {shown(text)}, want {want}")
        found.sample(address, message.received_ns, words[text])

    def _object(self, device: str, message: Message, found: Found) -> None:
        body = message.object()
        status = body.get("StatusSNS")  # an answer to STATUS 8 or 10 wraps the same
        if isinstance(status, dict):
            body = status
        at = self._time(body.get("Time"), message.received_ns, found)
        for part, value in body.items():
            if part == "Time":
                continue
            if part.startswith("POWER") and isinstance(value, str):
                found.sample(f"{device}/{part}", at, _SWITCHED.get(value, value))
            else:
                found.fields(f"{device}/{part}", value, at)

    def _time(self, raw: object, received_ns: int, found: Found) -> int:
        if raw is None:
            return received_ns
        try:
            at = local_time_ns(raw, self._zone, received_ns)
        except ValueError as error:
            raise Refused(str(error)) from None
        if is_set(at):
            return at
        found.counts["clock_not_set"] += 1  # a device that has not met a time server yet
        return received_ns
