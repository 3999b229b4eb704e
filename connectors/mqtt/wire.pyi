from typing_extensions import Buffer

class Message:
    topic: str
    payload: bytes
    size: int
    mid: int
    qos: int
    retained: bool

class Scanner:
    messages: list[Message]
    controls: list[tuple[int, bytes]]
    size_bytes: int

    def __init__(self, five: bool, packet_max: int, aliases_max: int) -> None: ...
    def feed(self, data: Buffer) -> int: ...

def acknowledgements(messages: list[Message]) -> bytes: ...
