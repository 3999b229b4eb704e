"""Shelly devices of the second generation and later: notifications, component states, online.

Addresses are ``<device>/<component>/<field>``, for example ``shellypro3em-1/em:0/a_act_power``.
"""

from typing import Any

from connectors.payload.found import Found, Message
from connectors.payload.times import is_set, time_ns
from connectors.payload.values import Refused, shown
from connectors.settings import Table

_NOTIFICATIONS = ("NotifyStatus", "NotifyFullStatus")


class Shelly:
    """Every field of a component is a tag; counters stay in the unit the device counts in."""

    timed = False  # notifications have a time, component states and online have none

    def __init__(self, table: Table) -> None:
        del table

    def map(self, message: Message, found: Found) -> None:
        """Map by the end of the topic; the device is what stands before."""
        levels = message.levels
        if len(levels) > 1 and levels[-1] == "online":
            found.sample(message.topic, message.received_ns, _online(message.text()))
        elif len(levels) > 2 and levels[-2:] == ["events", "rpc"]:
            _notification("/".join(levels[:-2]), message, found)
        elif len(levels) > 2 and levels[-2] == "status":
            device, component = "/".join(levels[:-2]), levels[-1]
            body = message.object()
            _component(f"{device}/{component}", body, message.received_ns, found)
        else:
            want = "one that ends in events/rpc, status/<component> or online"
            raise Refused(f"cannot map topic: got {shown(message.topic)}, want {want}")


def _online(text: str) -> bool:
    if text not in {"true", "false"}:
        raise Refused(f"cannot read online: got {shown(text)}, want true or false")
    return text == "true"


def _notification(device: str, message: Message, found: Found) -> None:
    body = message.object()
    method, params = body.get("method"), body.get("params")
    if method not in _NOTIFICATIONS:
        want = " or ".join(_NOTIFICATIONS)
        raise Refused(f"cannot map notification: got {shown(method)}, want {want}")
    if not isinstance(params, dict):
        raise Refused(f"cannot read params: got {shown(params)}, want an object")
    try:
        at = time_ns(params.get("ts"), "s")
    except ValueError as error:
        raise Refused(str(error)) from None
    if not is_set(at):  # a device that has not met a time server yet
        at = message.received_ns
        found.counts["clock_not_set"] += 1
    for component, state in params.items():
        if component == "ts":
            continue
        if not isinstance(state, dict):
            raise Refused(f"cannot read {component[:80]!r}: got {shown(state)}, want an object")
        _component(f"{device}/{component}", state, at, found)


def _component(base: str, state: dict[str, Any], at: int, found: Found) -> None:
    found.fields(base, {key: value for key, value in state.items() if key != "id"}, at)
