"""recording.py: the crash states are the ones POSIX allows, and the nasty ones are among them."""

import pytest

from storage_engine.errors import DiskError
from storage_engine.recording import RecordingFileSystem


def contents(fs: RecordingFileSystem) -> dict[str, bytes]:
    return {name: fs.open_read(name).read_at(0, 1 << 20) for name in fs.list(".")}


def states(fs: RecordingFileSystem, **options: int) -> list[dict[str, bytes]]:
    return [contents(state) for _, state in fs.crash_states(fs.position, **options)]


def durable(fs: RecordingFileSystem, name: str, data: bytes) -> None:
    file = fs.create(name)
    file.append(data)
    file.sync()
    fs.sync_directory(".")


def test_what_is_synced_is_in_every_state():
    """Content by sync, name by sync_directory."""
    fs = RecordingFileSystem()
    durable(fs, "a", b"kept")

    assert states(fs) == [{"a": b"kept"}]


def test_a_synced_file_without_its_directory_may_be_gone():
    """POSIX promises the content, not the name."""
    fs = RecordingFileSystem()
    file = fs.create("a")
    file.append(b"x")
    file.sync()

    assert {} in states(fs)
    assert {"a": b"x"} in states(fs)


def test_an_unsynced_write_is_kept_dropped_torn_or_zero():
    """At sectors of 512 bytes and pages of 4 KiB, head or tail."""
    fs = RecordingFileSystem()
    durable(fs, "a", b"")
    data = bytes(range(1, 251)) * 40
    fs.open_write("a").append(data)

    found = [s["a"] for s in states(fs)]

    for want in (b"", data, data[:512], data[:4096], bytes(len(data)), bytes(512) + data[512:]):
        assert want in found
    for one in found:
        assert len(one) <= len(data)
        assert all(got in (0, want) for got, want in zip(one, data, strict=False))


def test_two_unsynced_writes_may_arrive_in_either_order():
    """Even to two files."""
    fs = RecordingFileSystem()
    durable(fs, "a", b"")
    durable(fs, "b", b"")
    fs.open_write("a").append(b"1")
    fs.open_write("b").append(b"2")

    found = states(fs)

    assert {"a": b"1", "b": b""} in found
    assert {"a": b"", "b": b"2"} in found


def test_a_rename_may_arrive_before_the_content():
    """The classic: write a temporary file, rename it over the old one, lose both."""
    fs = RecordingFileSystem()
    durable(fs, "a", b"old")
    file = fs.create("a.new")
    file.append(b"new")
    fs.rename("a.new", "a")

    found = states(fs)

    assert {"a": b""} in found
    assert {"a": b"old"} in found
    assert {"a": b"new"} in found


def test_a_removed_file_may_come_back():
    """A removal is a name, too."""
    fs = RecordingFileSystem()
    durable(fs, "a", b"x")
    fs.remove("a")

    assert {"a": b"x"} in states(fs)
    assert {} in states(fs)


def test_every_moment_is_drawn_and_states_are_independent():
    """Writing into one state changes neither the run nor another state."""
    fs = RecordingFileSystem()
    durable(fs, "a", b"1")
    fs.open_write("a").append(b"2")

    seen = set()
    for what, state in fs.crash_states():
        assert state.crashed_at is not None
        assert f"after operation {state.crashed_at}" in what
        seen.add(state.crashed_at)
        state.create("z").append(b"other")
    assert seen == set(range(fs.position + 1))
    assert contents(fs) == {"a": b"12"}


def test_the_limit_keeps_the_extremes_and_the_draw_is_repeatable():
    """A failing state can be drawn again."""
    fs = RecordingFileSystem()
    durable(fs, "a", b"")
    for i in range(6):
        fs.open_write("a").append(bytes([i + 1]) * 700)

    few = states(fs, limit=5, seed=3)

    assert len(few) == 5
    assert few == states(fs, limit=5, seed=3)
    assert few[0] == {"a": b""}
    assert few[1] == contents(fs)
    assert len(states(fs)) > 20


@pytest.mark.parametrize("operation", ["write", "sync", "create", "rename", "read"])
def test_a_planned_fault_refuses_the_call_and_changes_nothing(operation):
    """Faults come as the operating system's own numbers."""
    fs = RecordingFileSystem()
    durable(fs, "a", b"x")
    file = fs.open_write("a")
    calls = {
        "write": lambda: file.append(b"y"),
        "sync": file.sync,
        "create": lambda: fs.create("b"),
        "rename": lambda: fs.rename("a", "b"),
        "read": lambda: file.read_at(0, 1),
    }
    before = fs.position
    fs.fault = lambda what, _path: 5 if what == operation else None

    with pytest.raises(DiskError, match="got EIO"):
        calls[operation]()

    fs.fault = None
    assert [one.kind for one in fs.log[before:]] in ([], ["sync_failed"])
    assert contents(fs) == {"a": b"x"}
    assert states(fs) == [{"a": b"x"}]


def test_what_waited_for_a_failed_sync_is_never_certain_again():
    """The kernel marks the pages clean: a second sync says yes and has written nothing."""
    fs = RecordingFileSystem()
    durable(fs, "a", b"....")
    file = fs.open_write("a")
    file.write_at(0, b"1")
    fs.fault = lambda what, _path: 5 if what == "sync" else None
    with pytest.raises(DiskError, match="got EIO"):
        file.sync()
    fs.fault = None
    file.write_at(0, b"2")
    file.write_at(1, b"3")
    file.sync()
    file.write_at(2, b"4")
    file.write_at(0, b"5")

    found = [state["a"] for state in states(fs)]

    assert {one[1:2] for one in found} == {b"3"}
    assert {one[:1] for one in found} == {b"2", b"5"}  # 1 lies below 2, whether it arrived or not
    file.sync()
    assert {state["a"] for state in states(fs)} == {b"534."}

    fs.fault = lambda what, _path: 5 if what == "sync" else None
    file.write_at(3, b"6")
    with pytest.raises(DiskError, match="got EIO"):
        file.sync()
    fs.fault = None
    file.sync()
    assert {state["a"] for state in states(fs)} == {b"534.", b"5346"}


def test_few_operations_are_taken_in_every_combination():
    """Any subset of what no sync has settled may have arrived."""
    fs = RecordingFileSystem()
    for name in "abcd":
        durable(fs, name, b".")
        fs.open_write(name).write_at(0, b"x")

    found = {tuple(state.values()) for state in states(fs)}

    assert len(found) == 16


def test_equal_disks_have_equal_digests():
    """Counting states by content needs no comparison of all with all."""
    one, two = RecordingFileSystem(), RecordingFileSystem()
    for fs in (one, two):
        durable(fs, "a", b"x")
        fs.make_directories("d/e")
    assert one.digest() == two.digest()
    for change in (
        lambda: one.open_write("a").write_at(0, b"y"),
        lambda: one.rename("a", "b"),
        lambda: one.make_directories("f"),
    ):
        before = one.digest()
        change()
        assert before != one.digest()
    assert RecordingFileSystem(one.disk()).digest() == one.digest()
