"""Payload conventions by the name under which ``kind`` of a mapping asks for them."""

from connectors.payload.conventions.bare import Bare
from connectors.payload.conventions.cfx import Cfx
from connectors.payload.conventions.deepstream import DeepStream
from connectors.payload.conventions.frigate import Frigate
from connectors.payload.conventions.onvif import Axis, Onvif
from connectors.payload.conventions.opcua_json import OpcuaJson
from connectors.payload.conventions.shelly import Shelly
from connectors.payload.conventions.tasmota import Tasmota
from connectors.payload.conventions.umh import Umh, UmhCore
from connectors.payload.found import Convention

CONVENTIONS: dict[str, type[Convention]] = {
    "values": Bare,
    "umh": Umh,
    "umh_core": UmhCore,
    "opcua_json": OpcuaJson,
    "shelly": Shelly,
    "tasmota": Tasmota,
    "frigate": Frigate,
    "deepstream": DeepStream,
    "onvif": Onvif,
    "axis": Axis,
    "cfx": Cfx,
}
