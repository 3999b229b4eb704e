"""Energy meters: registers that wrap, are replaced or reset, and what was really used."""

from dataclasses import dataclass

from connectors.simulator.config import LINE, PlantConfig
from connectors.simulator.discrete import EventLoop, Process
from connectors.simulator.output import Journal
from connectors.simulator.stations import Station


@dataclass(frozen=True, slots=True)
class MeterSpec:
    """A meter as installed.

    Attributes
    ----------
    station : str
        Station that it supplies.
    register_wh : int
        Register at the start.
    modulus_wh : int or None
        Where the register begins again at zero.
    declared : str
        ``replaced`` or ``reset`` when somebody does that once and says so; else empty.
    declared_after_s : float
        When, after the start.
    """

    station: str
    register_wh: int
    modulus_wh: int | None = None
    declared: str = ""
    declared_after_s: float = 0.0

    @property
    def meter(self) -> str:
        """Name of the meter."""
        return f"meter-{self.station}"


METERS = (
    MeterSpec("st1", 41_312),
    MeterSpec("st2", 120_877, declared="replaced", declared_after_s=170.0),
    MeterSpec("st3a", 15_004),
    MeterSpec("st3b", 15_960),
    MeterSpec("st4", 9_400, modulus_wh=10_000),
    MeterSpec("st5", 3_371, declared="reset", declared_after_s=320.0),
    MeterSpec("st6", 22_018),
    MeterSpec("rework", 907),
)


class Meters:
    """Reads all meters again and again."""

    def __init__(
        self,
        config: PlantConfig,
        stations: dict[str, Station],
        loop: EventLoop,
        journal: Journal,
    ) -> None:
        self._period_ns = round(config.meter_period_s * 1e9)
        self._stations = stations
        self._loop = loop
        self._journal = journal
        self._base_wh = {spec.meter: spec.register_wh for spec in METERS}  # register minus energy
        self.running = True

    def _register_wh(self, spec: MeterSpec, total_wh: int) -> int:
        register = self._base_wh[spec.meter] + total_wh
        return register if spec.modulus_wh is None else register % spec.modulus_wh

    def read(self) -> Process:
        """Read each meter every period, and once more when the line has ended."""
        while True:
            for spec in METERS:
                self._read(spec)
            if not self.running:
                return
            yield self._period_ns

    def _publish(self, spec: MeterSpec, kind: str, **columns: object) -> None:
        topic = f"plant/{LINE}/{spec.meter}/meter"
        self._journal.event(f"{LINE}/{spec.meter}", topic, kind, meter=spec.meter, **columns)

    def _read(self, spec: MeterSpec) -> None:
        total_wh = self._stations[spec.station].energy_wh()
        self._publish(spec, "meter_read", register=float(self._register_wh(spec, total_wh)))
        self._journal.truth(
            "energy", meter=spec.meter, time_ns=self._loop.now_ns, total_wh=total_wh
        )

    def declare(self, spec: MeterSpec) -> Process:
        """Replace or reset a meter, and say so."""
        yield round(spec.declared_after_s * 1e9)
        total_wh = self._stations[spec.station].energy_wh()
        old_wh = self._register_wh(spec, total_wh)
        new_wh = 0 if spec.declared == "reset" else 12
        self._base_wh[spec.meter] = new_wh - total_wh
        self._publish(
            spec,
            "meter_declared",
            reason=spec.declared,
            old_register=float(old_wh),
            new_register=float(new_wh),
        )
        self._journal.truth("meter_declared", meter=spec.meter, time_ns=self._loop.now_ns)
