"""``make bench``: every figure beside its rival. ``--small`` is what the tests run."""

import argparse

from benchmarks import harness, table
from benchmarks.connectors import bench_opcua, bench_opcua_plant
from benchmarks.rivals import host
from benchmarks.system import (
    bench_ack,
    bench_backup,
    bench_http,
    bench_ingest,
    bench_joins,
    bench_late_data,
    bench_memory,
    bench_mqtt,
    bench_open,
    bench_queries,
    bench_reads,
    bench_sizes,
    bench_sparkplug,
    bench_speed,
    bench_tags,
    bench_transfer,
)

BENCHES = {
    "sizes": bench_sizes.run,
    "speed": bench_speed.run,
    "queries": bench_queries.run,
    "reads": bench_reads.run,
    "joins": bench_joins.run,
    "ingest": bench_ingest.run,
    "ack": bench_ack.run,
    "open": bench_open.run,
    "tags": bench_tags.run,
    "backup": bench_backup.run,
    "http": bench_http.run,
    "memory": bench_memory.run,
    "mqtt": bench_mqtt.run,
    "sparkplug": bench_sparkplug.run,
    "late": bench_late_data.run,
    "transfer": bench_transfer.run,
    "opcua": bench_opcua.run,
    "opcua_plant": bench_opcua_plant.run,
}


def main() -> None:
    """Run the chosen benches, save their figures, print the table and generate its page."""
    parser = argparse.ArgumentParser(prog="benchmarks")
    names = [*BENCHES, "table"]
    parser.add_argument("names", nargs="*", metavar="bench", help=f"of {', '.join(names)}; all")
    parser.add_argument("--small", action="store_true")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(names):
        parser.error(f"cannot run {', '.join(sorted(unknown))}: want some of {', '.join(names)}")
    if arguments.names == ["table"]:
        table.write(table.newest())
        return
    size = "small" if arguments.small else "large"
    path = None
    for name in arguments.names or BENCHES:
        for figure in BENCHES[name](arguments.small) if name in BENCHES else ():
            print(figure.line(), flush=True)
            notes = {"rivals": host.versions, "left out": host.skipped}
            path = harness.save([figure], size, notes=notes)
    for name, why in host.skipped.items():
        print(f"left out: {name}: {why}")
    if path is not None:
        print("saved", path.name)
    if path is not None and not arguments.small:
        table.write(path)


if __name__ == "__main__":
    main()
