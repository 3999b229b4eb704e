"""Topics of Sparkplug B, and the addresses of metrics."""

from dataclasses import dataclass

NAMESPACE = "spBv1.0"
NODE_KINDS = frozenset({"NBIRTH", "NDATA", "NDEATH", "NCMD"})
DEVICE_KINDS = frozenset({"DBIRTH", "DDATA", "DDEATH", "DCMD"})


@dataclass(frozen=True, slots=True)
class Topic:
    """What a message is, and whose; ``device`` is empty for those of the node itself."""

    kind: str
    group: str
    node: str
    device: str = ""

    @property
    def text(self) -> str:
        """As MQTT has it."""
        tail = f"/{self.device}" if self.device else ""
        return f"{NAMESPACE}/{self.group}/{self.kind}/{self.node}{tail}"


def parse(topic: str) -> Topic | None:
    """Topic of an edge node's or a command's message; None for any other, STATE among them."""
    levels = topic.split("/")
    if levels[0] != NAMESPACE or not all(levels):
        return None
    if len(levels) == 4 and levels[2] in NODE_KINDS:
        return Topic(levels[2], levels[1], levels[3])
    if len(levels) == 5 and levels[2] in DEVICE_KINDS:
        return Topic(levels[2], levels[1], levels[3], levels[4])
    return None


def state_topic(host_id: str) -> str:
    """Where a host application says whether it is there."""
    return f"{NAMESPACE}/STATE/{host_id}"


def scope(group: str, node: str, device: str = "") -> str:
    """Address of a node or of a device.

    Names have no slash, so these part them; a colon in a name is written ``%3A``, so that the
    first colon of an address is the one before the metric.
    """
    names = (group, node, device) if device else (group, node)
    return "/".join(name.replace("%", "%25").replace(":", "%3A") for name in names)
