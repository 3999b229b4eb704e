"""wal.py on damaged logs: torn tails are dropped, rot is named and copied, the rest is served."""

import errno
import random

import pytest

from storage_engine.checksum import crc32c
from storage_engine.errors import UnsupportedFormat
from storage_engine.filesystem import FileSystem, RealFileSystem
from storage_engine.recording import RecordingFileSystem
from storage_engine.wal import Record, RecordKind, Wal
from storage_engine.wal_record import file_seed, pack_record

FIRST = "wal/0000000000000001.log"


class FixedClock:
    def now_ns(self) -> int:
        return 1_700_000_000_000_000_000


@pytest.fixture(params=["real", "twin"])
def fs(request, tmp_path) -> FileSystem:
    return RealFileSystem(tmp_path) if request.param == "real" else RecordingFileSystem()


def open_wal(
    fs: FileSystem, start_lsn: int = 0, file_bytes: int = 8192, pending: int = 1 << 16
) -> tuple[Wal, list[Record]]:
    records: list[Record] = []
    wal = Wal.open(
        fs,
        "wal",
        clock=FixedClock(),
        start_lsn=start_lsn,
        apply=records.append,
        file_bytes_max=file_bytes,
        pending_bytes_max=pending,
    )
    return wal, records


def bodies(count: int, size: int = 40) -> list[bytes]:
    return [random.Random(i).randbytes(size + i) for i in range(count)]


def written(fs: FileSystem, content: list[bytes], **options: int) -> Wal:
    wal, _ = open_wal(fs, **options)
    for i, body in enumerate(content):
        assert wal.wait(wal.append(RecordKind.FRAME, (body[:7], body[7:]), 1000 + i))
    return wal


def content_of(fs: FileSystem, path: str) -> bytes:
    file = fs.open_read(path)
    try:
        return file.read_at(0, file.size())
    finally:
        file.close()


def disk_with(path: str, content: bytes, size: int = 1024) -> RecordingFileSystem:
    fs = RecordingFileSystem()
    fs.make_directories("wal")
    file = fs.create(path)
    file.append(content.ljust(size, b"\0"))
    file.sync()
    fs.sync_directory("wal")
    return fs


def small_log() -> tuple[list[bytes], bytes, list[int]]:
    """Bodies, the bytes of a log file with them, and where each record ends."""
    content = bodies(4, 3)
    twin = RecordingFileSystem()
    written(twin, content, file_bytes=1024).close()
    data = content_of(twin, FIRST)
    ends, at = [], 64
    for body in content:
        at += 40 + (len(body) + 7) // 8 * 8
        ends.append(at)
        at += 40
    return content, data[:at], ends


CONTENT, DATA, ENDS = small_log()


@pytest.mark.parametrize("tail", ["zero", "garbage"])
def test_a_tail_torn_at_any_byte_drops_only_what_is_not_whole(tail):
    """A power cut may leave any prefix of what was written last; none of it is damage."""
    for cut in range(64, len(DATA) + 1):
        rest = {
            "zero": bytes(len(DATA) - cut),
            "garbage": random.Random(cut).randbytes(len(DATA) - cut),
        }[tail]
        fs = disk_with(FIRST, DATA[:cut] + rest)

        wal, records = open_wal(fs)

        whole = sum(end <= cut for end in ENDS)
        if tail == "zero" and whole < 4 and not any(DATA[cut : ENDS[whole]]):
            whole += 1
        assert CONTENT[:whole] == [r.body for r in records], cut
        assert wal.findings == [], cut
        assert wal.append(RecordKind.NOTE, (b"x",), 0) == whole + 1


def test_a_last_file_that_is_shorter_than_it_was_made_is_damaged():
    """Its space was durable before its name; without a word the acknowledged end would be gone."""
    for cut in range(len(DATA)):
        wal, records = open_wal(disk_with(FIRST, DATA[:cut], size=0))

        assert CONTENT[: sum(end <= cut for end in ENDS)] == [r.body for r in records], cut
        assert wal.findings, cut


def test_a_record_larger_than_a_log_file_gets_one_of_its_size(fs):
    """So that every file has the size its header says."""
    wal = written(fs, bodies(2), file_bytes=1024)
    big = random.Random(5).randbytes(3000)
    assert wal.wait(wal.append(RecordKind.FRAME, (big,), 0))
    assert wal.wait(wal.append(RecordKind.NOTE, (b"x",), 0))
    wal.close()

    wal, records = open_wal(fs, file_bytes=1024)

    assert [*bodies(2), big, b"x"] == [record.body for record in records]
    assert [] == wal.findings
    wal.close()


def test_every_flipped_byte_is_harmless_or_costs_at_most_one_record():
    """Rot in what a later mark proves durable is named; the bytes are kept, the rest is served."""
    proven = ENDS[2]
    for at in range(len(DATA)):
        flipped = bytearray(DATA)
        flipped[at] ^= 0x10
        fs = disk_with(FIRST, bytes(flipped))

        wal, records = open_wal(fs)

        lsns = [r.lsn for r in records]
        assert all(CONTENT[r.lsn - 1] == r.body for r in records), at
        assert lsns == sorted(set(lsns)), at
        assert len(records) >= 3, at
        if len(records) < 4 and at < proven:
            assert any("lost" in f.what for f in wal.findings), at
        assert content_of(fs, FIRST)[: len(DATA)] == bytes(flipped), at
        kept = {content_of(fs, f"wal/damaged/{n}") for n in fs.list("wal/damaged")}
        for finding in wal.findings:
            if finding.size:
                assert bytes(flipped[finding.offset :][: finding.size]) in kept, at


def test_a_damaged_record_is_named_copied_and_stepped_over(tmp_path):
    """Newer good data behind a bad place is never thrown away, and the loss has its lsns."""
    fs = RealFileSystem(tmp_path)
    written(fs, bodies(5)).close()
    path = tmp_path / FIRST
    data = bytearray(path.read_bytes())
    second = data.index(bodies(5)[1])
    data[second] ^= 1
    path.write_bytes(data)

    wal, records = open_wal(fs)
    wal.close()

    assert [r.lsn for r in records] == [1, 3, 4, 5]
    assert any("lsn 2 to 2 are lost" in f.what for f in wal.findings)
    assert len(list((tmp_path / "wal/damaged").iterdir())) == 1
    again, records = open_wal(fs)
    again.close()
    assert [r.lsn for r in records] == [1, 3, 4, 5]


def test_a_missing_file_is_named_and_the_later_ones_are_replayed(fs):
    """Somebody deleted a log file: the loss has its lsns."""
    written(fs, bodies(40, 300)).close()
    names = [n for n in fs.list("wal") if n.endswith(".log")]
    fs.remove(f"wal/{names[1]}")

    wal, records = open_wal(fs)
    wal.close()

    lsns = [r.lsn for r in records]
    lost = sorted(set(range(1, 41)) - set(lsns))
    assert lost == list(range(lost[0], lost[-1] + 1))
    assert f"lsn {lost[0]} to {lost[-1]} are lost" in wal.findings[0].what
    assert lsns[-1] == 40


def test_an_unreadable_file_costs_only_itself():
    """EIO from the medium is damage like any other, not a reason to refuse to start."""
    fs = RecordingFileSystem()
    written(fs, bodies(40, 300)).close()
    bad = [n for n in fs.list("wal") if n.endswith(".log")][1]
    fs.fault = lambda what, path: errno.EIO if what == "read" and path.endswith(bad) else None

    wal, records = open_wal(fs)

    assert records[0].lsn == 1
    assert records[-1].lsn == 40
    assert any("lost" in f.what for f in wal.findings)


def test_a_log_of_a_newer_version_is_refused_untouched(fs):
    """Upgrade is the remedy; guessing would destroy."""
    written(fs, bodies(2)).close()
    file = fs.open_write(FIRST)
    head = bytearray(file.read_at(0, 64))
    head[4] = 9
    head[60:] = crc32c(bytes(head[:60])).to_bytes(4, "little")
    file.write_at(0, bytes(head))
    file.close()
    before = fs.list("wal")

    with pytest.raises(UnsupportedFormat, match="version 9"):
        open_wal(fs)

    assert before == fs.list("wal")


def test_a_record_of_unknown_kind_is_named_and_stepped_over():
    """A sound record of a later minor version must not stop the replay."""
    extra = pack_record(file_seed(1), 5, 177, 0, (b"later",))
    last = pack_record(file_seed(1), 6, RecordKind.NOTE, 0, (b"known",))
    fs = disk_with(FIRST, DATA + extra + last)

    wal, records = open_wal(fs)

    assert [r.lsn for r in records] == [1, 2, 3, 4, 6]
    assert "lsn 5 is of kind 177" in wal.findings[0].what


def test_a_record_that_must_be_known_is_refused_untouched():
    """Stepping over a deletion of a later version would bring rows back."""
    extra = pack_record(file_seed(1), 5, 77, 0, (b"later",))
    fs = disk_with(FIRST, DATA + extra)
    before = fs.position

    with pytest.raises(UnsupportedFormat, match="kind 77"):
        open_wal(fs)

    assert before == fs.position


def test_a_bad_header_between_two_sound_files_costs_no_record():
    """Nor does a disk that refuses to read it once: the file's own records say where it begins."""
    content = bodies(40)
    fs = RecordingFileSystem()
    written(fs, content, file_bytes=1024).close()
    files = sorted(name for name in fs.list("wal") if name.endswith(".log"))
    assert len(files) > 4

    for name in files:
        torn = RecordingFileSystem()
        torn.make_directories("wal")
        for other in files:
            data = bytearray(content_of(fs, f"wal/{other}"))
            data[20] ^= other == name
            file = torn.create(f"wal/{other}")
            file.append(bytes(data))
            file.sync()
        torn.sync_directory("wal")

        wal, records = open_wal(torn)

        assert content == [r.body for r in records], name
        assert [f.path for f in wal.findings] == [f"wal/{name}"]
        wal.close()
