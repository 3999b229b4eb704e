"""Compaction against the model: segments written anew in every way, and the answers stay."""

import random
import sys
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule

from storage_engine.config import EngineConfig
from storage_engine.rewrite import Rewrite
from storage_engine.testing import DAY_NS

sys.path.insert(0, str(Path(__file__).parent))
import test_engine_model as model


def nothing(size_bytes):
    """The pace of somebody with time."""


class CompactingMachine(model.EngineMachine):
    """Everything the engine's machine does, with segments written anew in every way between."""

    @rule()
    def compact(self) -> None:
        report = self.engine.compact(nothing)
        assert () == report.left_alone
        assert () == report.erasures_pending

    @rule(draw=st.randoms(use_true_random=False), small=st.booleans())
    def rewrite_any(self, draw: random.Random, *, small: bool) -> None:
        """Any segments together, in any order: what no plan would do must be right as well."""
        engine = self.engine
        segments, tombstones = engine._compaction_view()
        chosen = draw.sample(segments.infos, draw.randint(0, len(segments)))
        rewrite = Rewrite(
            engine._fs,
            EngineConfig(block_rows=3, segment_bytes_max=1 if small else 1 << 20),
            engine._reader,
            incarnation=engine.incarnation,
            streams=dict(engine.streams()),
            now_ns=self.clock.now_ns() + draw.choice([0, 3000]) * DAY_NS,
            live=engine._state.live,
        )
        outputs = rewrite.run(chosen, tombstones, pace=nothing)
        engine._flusher.replace([info.id for info in chosen], outputs)
        engine._state.live.release([info.id for info in outputs])


CompactingMachine.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestCompactingAgainstModel = CompactingMachine.TestCase
