"""``make bench``: every figure beside its rival. ``--small`` is what the tests run."""

import argparse

from benchmarks import harness
from benchmarks.system import (
    bench_ack,
    bench_backup,
    bench_http,
    bench_ingest,
    bench_late_data,
    bench_memory,
    bench_open,
    bench_transfer,
)

BENCHES = {
    "ingest": bench_ingest.run,
    "ack": bench_ack.run,
    "open": bench_open.run,
    "backup": bench_backup.run,
    "http": bench_http.run,
    "memory": bench_memory.run,
    "late": bench_late_data.run,
    "transfer": bench_transfer.run,
}


def main() -> None:
    """Run the chosen benches and save their figures."""
    parser = argparse.ArgumentParser(prog="benchmarks")
    parser.add_argument("names", nargs="*", default=list(BENCHES), choices=[*BENCHES, []])
    parser.add_argument("--small", action="store_true")
    arguments = parser.parse_args()
    figures: list[harness.Figure] = []
    for name in arguments.names or BENCHES:
        for figure in BENCHES[name](arguments.small):
            print(figure.line(), flush=True)
            figures.append(figure)
    print("saved", harness.save(figures, "small" if arguments.small else "large").name)


if __name__ == "__main__":
    main()
