"""The simulated electronics plant: a pure generator of events, samples and the truth.

Six stations in a row, the third one twice (3a and 3b): print, place, place, solder, split, test.
Panels run to the splitter, boards from there. Bad prints go back to the printer, bad boards to
the rework bench. Reels run out, also in the middle of a unit; the second placement reports loads
only, so that what a board saw there follows from the time. Meters count the energy of each
station; one wraps, one is replaced, one is reset.

The same settings give the same output, down to the last digit; sampling or not does not change
events or truth.
"""

from collections.abc import Iterator

from connectors.simulator.config import PlantConfig
from connectors.simulator.discrete import EventLoop, Process
from connectors.simulator.line import Line
from connectors.simulator.meters import METERS, Meters
from connectors.simulator.output import Journal, Output
from connectors.simulator.process import sampling

_WATCH_NS = 1_000_000_000
_SEQUENCES_PER_SECOND = 1_000_000


class Plant:
    """One run of the plant.

    Parameters
    ----------
    config : PlantConfig
    """

    def __init__(self, config: PlantConfig) -> None:
        self._loop = EventLoop(config.start_ns)
        # Sequence numbers of a later run lie above those of an earlier one.
        first = config.start_ns // 1_000_000_000 * _SEQUENCES_PER_SECOND
        self._journal = Journal(lambda: self._loop.now_ns, first)
        self._line = Line(config, self._loop, self._journal)
        stations = self._line.stations
        self._meters = Meters(config, stations, self._loop, self._journal)
        self._loop.start(self._line.launch())
        self._loop.start(self._meters.read())
        for spec in METERS:
            if spec.declared:
                self._loop.start(self._meters.declare(spec))
        running = self._running
        for process in sampling(config, stations, self._loop, self._journal, running):
            self._loop.start(process)
        self._loop.start(self._watch())

    def _running(self) -> bool:
        return self._line.launching or self._line.boards_running > 0

    def _watch(self) -> Process:
        while self._running():
            yield _WATCH_NS
        self._meters.running = False

    def run(self) -> Iterator[Output]:
        """Everything that happens, in order of time; ends when the last board is finished.

        Yields
        ------
        PlantEvent, PlantRows or Truth
        """
        while self._loop.next_ns is not None:
            self._loop.step()
            yield from self._journal.take()
