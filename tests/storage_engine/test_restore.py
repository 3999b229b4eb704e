"""restore.py: the store as it was known at any moment, with a name of its own, whole or not."""

import json
import random
import sys
from pathlib import Path

import pytest

from storage_engine.backup_facts import read_facts
from storage_engine.changes import CHANGES_UUID, Change, Verb
from storage_engine.errors import DiskError, EngineClosed, InvalidArgument
from storage_engine.filesystem import RealFileSystem
from storage_engine.recording_tree import RecordingTree
from storage_engine.testing import SECOND_NS, SampleRow

sys.path.insert(0, str(Path(__file__).parent))
from backup_story import EVER, NOW, TYPES, Story, newest, open_store, restore, told


@pytest.mark.parametrize("seed", range(5))
def test_a_restored_store_is_the_store_at_every_moment(seed):
    """For random lsns: all reads now are those of the original as known then, and stay so."""
    story, repository = Story(seed=seed), RecordingTree()
    story.go_on(60)
    story.engine.backup(repository, "one")
    chance = random.Random(seed)
    last = max(story.times)
    for lsn in {0, last, last - 1, *chance.sample(sorted(story.times), 8)}:
        target, restored = restore(repository, "one", to_lsn=lsn)
        engine = open_store(target)
        want = told(story.engine, lsn)

        assert [] == engine.findings()
        assert (lsn, last + 1) == (restored.lsn, restored.next_lsn)
        assert without_later_changes(told(engine), lsn) == want, lsn
        assert told(engine, lsn) == want
        for earlier in chance.sample(sorted(story.times), 3):
            if earlier <= lsn:
                assert told(story.engine, earlier) == told(engine, earlier)
        assert newest(engine, story.slots) == newest_as_known(story, lsn)
        engine.flush()
        assert told(engine, lsn) == want
        engine.close()
        again = open_store(target)
        assert told(again, lsn) == want
        assert newest(again, story.slots) == newest_as_known(story, lsn)


def without_later_changes(answers, lsn):
    """Erasures stay for ever, and so does the trail that they leave; all else must be equal."""
    key = CHANGES_UUID.hex()
    kept = [row for row in answers.get(key, []) if row[-1] <= lsn or row[2][0] == "erase"]
    assert kept == answers.get(key, [])
    upto = [row for row in kept if row[-1] <= lsn]
    rest = {name: rows for name, rows in answers.items() if name != key}
    return {**rest, key: upto} if upto else rest


def newest_as_known(story, lsn):
    """Newest sample of each series, from a read of all that was known."""
    found = []
    for slot in range(len(TYPES)):
        stream = story.slots[slot]
        rows = story.engine.read(*(stream, *EVER), known_at_lsn=lsn, max_count=1, backward=True)
        if len(rows) == 0:
            found.append(None)
            continue
        valid = rows.value.valid is None or bool(rows.value.valid[0])
        value = rows.value.value[:1].tolist()[0] if valid else None
        found.append((int(rows.timestamp_ns[0]), int(rows.quality[0]), repr(value)))
    return found


def test_to_a_record_time():
    """The moment is a time for people: the last lsn recorded by then."""
    story, repository = Story(seed=4), RecordingTree()
    story.go_on(40)
    story.engine.backup(repository, "one")
    for lsn in sorted(story.times)[::7]:
        at = story.times[lsn]
        _, restored = restore(repository, "one", to_ns=at)
        assert restored.lsn == max(one for one, time in story.times.items() if time <= at)
    assert 0 == restore(repository, "one", to_ns=NOW - 1)[1].lsn
    assert restore(repository, "one", to_ns=NOW * 2)[1].lsn == max(story.times)


def test_a_restored_store_has_a_new_name_and_goes_on():
    """Its incarnation was never before; lsns go on behind all that the backup has seen."""
    story, repository = Story(seed=5), RecordingTree()
    story.go_on(30)
    facts = story.engine.backup(repository, "one")
    lsn = facts.lsn - 6
    target, restored = restore(repository, "one", to_lsn=lsn)
    other, _ = restore(repository, "one", to_lsn=lsn)

    engine = open_store(target)
    names = {story.engine.incarnation, engine.incarnation, open_store(other).incarnation}
    assert 3 == len(names)
    assert restored.incarnation == engine.incarnation.hex()
    slot_rows = [SampleRow(0, TYPES[0], NOW + 99 * SECOND_NS, 4.5)]
    engine.bind(b"p" * 16, 1, story.slots)
    story.producer.sequence += 100
    appended = engine.append(story.producer.frame(slot_rows))
    assert engine.wait_durable(appended.lsn)
    assert appended.lsn > facts.lsn
    assert not appended.duplicate
    assert NOW + 99 * SECOND_NS == engine.latest([story.slots[0]]).timestamp_ns[0]


def test_producers_go_on_where_they_stood():
    """A frame at or before the moment is a duplicate; one behind it is new again, with a gap."""
    story, repository = Story(seed=6), RecordingTree()
    lsns, frames = [], []
    for number in range(6):
        frames.append(story.producer.frame([SampleRow(1, TYPES[1], NOW + number, number)]))
        lsns.append(story.engine.append(frames[-1]).lsn)
    story.engine.wait_durable(lsns[-1])
    story.engine.backup(repository, "one")
    target, _ = restore(repository, "one", to_lsn=lsns[2])
    engine = open_store(target)

    assert engine.append(frames[2]).duplicate
    late = engine.append(frames[5])
    assert (False, 2) == (late.duplicate, late.missing_frames)


def test_frames_behind_the_moment_are_taken_even_when_the_log_is_gone():
    """What was known of a producer at an old lsn is lost with the log: it must not refuse."""
    story, repository = Story(seed=6), RecordingTree()
    frames = [story.producer.frame([SampleRow(1, TYPES[1], NOW + n, n)]) for n in range(6)]
    lsns = [story.engine.append(frame).lsn for frame in frames]
    story.engine.wait_durable(lsns[-1])
    story.engine.flush()
    story.engine.backup(repository, "one")
    target, restored = restore(repository, "one", to_lsn=lsns[2])
    engine = open_store(target)

    assert 1 == restored.segments_cut
    for frame in frames:
        appended = engine.append(frame)
        assert not appended.duplicate
    engine.wait_durable(appended.lsn)
    rows = engine.read(story.slots[1], *EVER, all_revisions=True)
    assert [0, 1, 2, 3, 4, 5] == rows.value.value.tolist()


def test_an_erasure_is_not_undone():
    """Rows erased before the backup stay hidden, whatever moment is restored."""
    story, repository = Story(seed=7), RecordingTree()
    frame = story.producer.frame(
        [SampleRow(1, TYPES[1], NOW, 7), SampleRow(1, TYPES[1], NOW + 9, 8)]
    )
    before = story.engine.append(frame).lsn
    for verb, start in ((Verb.ERASE, NOW), (Verb.DELETE, NOW + 9)):
        change = Change(verb, story.slots[1], start, start + 1, "anna", "privacy")
        story.engine.wait_durable(story.engine.change(change))
    for flush in (False, True):
        if flush:
            story.engine.flush()
        story.engine.backup(repository, f"flushed-{flush}")
        target, _ = restore(repository, f"flushed-{flush}", to_lsn=before)
        engine = open_store(target)
        assert [8] == engine.read(story.slots[1], *EVER).value.value.tolist()
        engine.flush()
        assert [8] == engine.read(story.slots[1], *EVER).value.value.tolist()


def test_segments_are_copied_cut_or_left_out():
    """Each costs what it must; the cut one has a new id, so that nobody takes it for the old."""
    story, repository = Story(seed=8), RecordingTree()
    ends = []
    for _ in range(3):
        for _ in range(4):
            last = story.append()
        ends.append(last)
        story.engine.flush()
    story.engine.backup(repository, "one")
    ids = {info.id for info in story.engine._state.segments}

    target, restored = restore(repository, "one", to_lsn=ends[1] - 1)

    engine = open_store(target)
    mine = engine._state.segments
    assert restored.segments_copied
    assert restored.segments_cut
    assert restored.segments_left_out
    assert all(info.lsn_max < ends[1] for info in mine)
    assert restored.segments_copied == len({info.id for info in mine} & ids)
    assert engine._state.live.next_id > max(ids)


def test_what_it_refuses(tmp_path):
    """A folder that holds something, a moment behind the backup, a name that is none."""
    story, repository = Story(seed=8), RecordingTree()
    last = story.append()
    story.engine.backup(repository, "one")
    target = RecordingTree()
    target.make_directories("plant/engine")
    for arguments in (
        {"name": "one"},
        {"name": "none", "directory": "other"},
        {"name": "one", "directory": "other", "to_lsn": last + 1},
        {"name": "one", "directory": "other", "to_lsn": -1},
    ):
        with pytest.raises(InvalidArgument):
            restore(repository, target=target, **arguments)
    assert ["plant"] == target.list(".")
    target.make_directories("other.new")
    target.create("other.new/letter").append(b"dear")
    with pytest.raises(InvalidArgument):
        restore(repository, "one", target=target, directory="other")
    assert target.exists("other.new/letter")


def test_on_a_real_disk_into_an_empty_folder(tmp_path):
    """Also where the folder is there already; the marker tells where it came from."""
    (tmp_path / "store").mkdir()
    (tmp_path / "restored").mkdir()
    story = Story(seed=10, fs=RealFileSystem(tmp_path / "store"))
    story.go_on(25)
    repository, target = RealFileSystem(tmp_path / "backups"), RealFileSystem(tmp_path)
    story.engine.backup(repository, "one")

    _, restored = restore(repository, "one", target=target, directory="restored")

    engine = open_store(target, "restored")
    assert told(story.engine) == told(engine)
    marker = json.loads((tmp_path / "restored/restored.json").read_text())
    assert (True, "one", restored.incarnation) == (
        marker["whole"],
        marker["backup"],
        marker["incarnation"],
    )
    assert not (tmp_path / "restored.new").exists()
    engine.close()
    story.engine.close()


def test_a_damaged_backup_is_restored_as_far_as_it_goes():
    """A bad block costs its rows, is named, and what can be read is there."""
    story, repository = Story(seed=11), RecordingTree()
    story.go_on(40)
    story.engine.flush()
    last = story.append()
    facts = story.engine.backup(repository, "one")
    path = max((f for f in facts.files if ".segment" in f.path), key=lambda f: f.size).path
    handle = repository.open_write(f"one/{path}")
    handle.write_at(80, bytes([handle.read_at(80, 1)[0] ^ 1]))

    for lsn in (last, last - 2):
        target, restored = restore(repository, "one", to_lsn=lsn)
        engine = open_store(target)
        assert path in {one.path for one in restored.damage}
        assert told(engine)
        assert engine.verify()  # the copied block, by name


def test_a_damaged_log_leaves_no_hole():
    """Lost lsns are named once, and the store goes on behind them without a finding."""
    story, repository = Story(seed=12), RecordingTree()
    for _ in range(12):
        story.append()
    facts = story.engine.backup(repository, "one")
    log = [f.path for f in facts.files if f.path.endswith(".log")][-1]
    handle = repository.open_write(f"one/{log}")
    at = handle.size() // 2
    handle.write_at(at, bytes([handle.read_at(at, 1)[0] ^ 1]))

    target, restored = restore(repository, "one")

    assert any("lost" in one.what for one in restored.damage)
    engine = open_store(target)
    assert [] == engine.findings()
    assert restored.next_lsn == facts.lsn + 1


def test_a_given_up_restore_leaves_nothing():
    """Nor does one that is refused halfway."""
    story, repository = Story(seed=13), RecordingTree()
    story.go_on(20)
    story.engine.flush()
    story.engine.backup(repository, "one")
    target, total = RecordingTree(), []
    restore(repository, "one", pace=total.append)
    for stop in range(len(total)):
        left = iter(range(stop))

        def pace(size, left=left):
            if next(left, None) is None:
                raise EngineClosed("cannot restore: aborted")

        with pytest.raises(EngineClosed):
            restore(repository, "one", target=target, pace=pace)
        assert [] == target.list(".")


@pytest.mark.parametrize("behind", [0, 9])
def test_cuts_at_every_operation_of_a_restore(behind):
    """After a power cut there is a whole store or none, and the next restore succeeds."""
    story, repository = Story(seed=14), RecordingTree()
    story.go_on(25)
    facts = story.engine.backup(repository, "one")
    lsn = facts.lsn - behind
    want = told(story.engine, lsn)
    target, _ = restore(repository, "one", to_lsn=lsn)
    last, whole = target.position, 0
    for moment in range(last + 1):
        for what, state in target.crash_states(moment, limit=3):
            if state.exists("plant/restored.json"):
                whole += 1
                engine = open_store(state)
                assert [] == engine.findings(), what
                assert told(engine, lsn) == want, what
                continue
            assert moment < last, what
            assert not state.exists("plant"), what
            if moment % 5 == 0:
                again, _ = restore(repository, "one", target=state, to_lsn=lsn)
                assert told(open_store(again), lsn) == want, what
    assert whole


def test_a_full_disk_ends_it_without_a_store():
    """ENOSPC at any point: an error, no store; with space the next restore succeeds."""
    story, repository = Story(seed=15), RecordingTree()
    story.go_on(15)
    story.engine.backup(repository, "one")
    whole, _ = restore(repository, "one")
    size = sum(map(len, whole.disk().contents.values()))
    for part in range(1, 8):
        target = RecordingTree(capacity_bytes=size * part // 8)
        with pytest.raises(DiskError):
            restore(repository, "one", target=target)
        assert not target.exists("plant")
        target.capacity_bytes = 1 << 30
        restore(repository, "one", target=target)
        assert told(story.engine) == told(open_store(target))


def test_a_backup_of_a_restored_store():
    """The circle closes: backed up again it shares what is the same, and restores again."""
    story, repository = Story(seed=16), RecordingTree()
    story.go_on(40)
    story.engine.flush()
    story.engine.backup(repository, "one")
    target, _ = restore(repository, "one")
    engine = open_store(target)
    facts = engine.backup(repository, "two", parent="one")

    again, _ = restore(repository, "two")

    assert facts.linked_bytes
    assert facts.incarnation != read_facts(repository, "one").incarnation
    assert told(story.engine) == told(open_store(again))
