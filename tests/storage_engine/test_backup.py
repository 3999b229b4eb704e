"""backup.py and its rooms: a backup is a store of its own, shared files or not, damaged or not."""

import errno
import random
import sys
from pathlib import Path

import pytest

from storage_engine.backup import remove_backup
from storage_engine.backup_facts import decode_facts, encode_facts, list_backups, read_facts
from storage_engine.engine import Engine
from storage_engine.errors import (
    CorruptData,
    EngineClosed,
    InvalidArgument,
    StoreLocked,
    UnsupportedFormat,
)
from storage_engine.filesystem import RealFileSystem
from storage_engine.recording_tree import RecordingTree
from storage_engine.testing import SetClock

sys.path.insert(0, str(Path(__file__).parent))
from backup_story import CONFIG, Story, check, compact, open_backup, told


@pytest.fixture
def story():
    story = Story(seed=1)
    story.go_on(40)
    return story


def test_a_backup_answers_like_the_store_did(story):
    """Every read, as known at every lsn, until the backup's own."""
    repository = RecordingTree()
    facts = story.engine.backup(repository, "one")
    before = {lsn: told(story.engine, lsn) for lsn in story.times}
    story.go_on(20)

    held = open_backup(repository, "one")

    assert max(before) == facts.lsn == held.durable_lsn
    assert story.times[facts.lsn] == facts.record_time_ns
    for lsn, answers in before.items():
        assert answers == told(held, lsn)
    assert [] == held.findings()
    assert facts.segment_rows == held.stats().segment_rows
    assert check(repository, "one").whole


def test_a_backup_of_an_empty_store(story):
    """There is something to restore from the first day on."""
    fs, repository = RecordingTree(), RecordingTree()
    engine = Engine.open(fs, CONFIG, SetClock())

    facts = engine.backup(repository, "one")

    assert (0, 0, 0, 0) == (facts.lsn, facts.record_time_ns, facts.segments, facts.log_records)
    assert check(repository, "one").whole


@pytest.mark.parametrize("seed", range(6))
def test_incremental_backups_share_files_and_stand_alone(seed):
    """Each opens and answers when all the others are gone."""
    story, repository = Story(seed=seed), RecordingTree()
    answers, parent = {}, None
    for name in ("one", "two", "three"):
        story.go_on(15)
        facts = story.engine.backup(repository, name, parent=parent)
        assert ("incremental" if parent else "full", parent) == (facts.kind, facts.parent)
        assert facts.copied_bytes + facts.linked_bytes == facts.bytes
        answers[name] = (facts.lsn, told(story.engine, facts.lsn))
        parent = name
    for name, (lsn, want) in answers.items():
        alone = RecordingTree(repository.disk())
        for other in set(answers) - {name}:
            remove_backup(alone, other)
        assert want == told(open_backup(alone, name), lsn)
        assert check(alone, name).whole
        assert [name] == [facts.name for facts in list_backups(alone)[0]]


def test_an_incremental_backup_reads_new_segments_only(story):
    """What the parent holds costs two short reads a segment."""
    repository = RecordingTree()
    story.engine.flush()
    story.engine.backup(repository, "one")
    story.append()
    story.engine.flush()
    read = []
    story.fs.fault = lambda what, path: read.append((what, path)) or None

    facts = story.engine.backup(repository, "two", parent="one")

    story.fs.fault = None
    old = {f.path for f in read_facts(repository, "one").files if ".segment" in f.path}
    assert old
    assert old <= {f.path for f in facts.files}
    assert facts.linked_bytes == sum(f.size for f in facts.files if f.path in old)
    assert 2 * len(old) == sum(w == "read" and f"engine/{p}" in old for w, p in read)


def test_hard_links_on_a_real_disk(tmp_path, story):
    """A file of the parent and its twin are one on disk; deleting the parent keeps it."""
    fs, repository = RealFileSystem(tmp_path / "store"), RealFileSystem(tmp_path / "backups")
    fs.make_directories(".")
    real = Story(seed=3, fs=fs)
    real.go_on(30)
    real.engine.flush()
    real.engine.backup(repository, "one")
    real.go_on(5)

    facts = real.engine.backup(repository, "two", parent="one")
    answers = told(real.engine, facts.lsn)
    real.engine.close()

    shared = [f.path for f in facts.files if (tmp_path / "backups/one" / f.path).exists()]
    twins = [p for p in shared if (tmp_path / "backups/two" / p).stat().st_nlink == 2]
    assert facts.linked_bytes == sum((tmp_path / "backups/two" / p).stat().st_size for p in twins)
    assert twins
    assert all((tmp_path / "store" / p.partition("/")[2]).stat().st_nlink == 1 for p in twins)
    remove_backup(repository, "one")
    assert not (tmp_path / "backups/one").exists()
    assert check(repository, "two").whole
    assert answers == told(open_backup(repository, "two"), facts.lsn)


def test_without_hard_links_files_are_copied(story):
    """A repository on a medium without them costs space, nothing else."""
    repository = RecordingTree()
    story.engine.backup(repository, "one")
    repository.fault = lambda what, path: errno.EPERM if what == "link" else None

    facts = story.engine.backup(repository, "two", parent="one")

    assert 0 == facts.linked_bytes
    assert check(repository, "two").whole


def test_a_parent_file_cut_short_is_not_shared(story):
    """A damaged parent must not spoil the next backup."""
    repository = RecordingTree()
    story.engine.flush()
    facts = story.engine.backup(repository, "one")
    path = next(f.path for f in facts.files if ".segment" in f.path)
    repository.open_write(f"one/{path}").truncate(100)

    story.engine.backup(repository, "two", parent="one")

    assert check(repository, "two").whole
    assert [path] == [one.path for one in check(repository, "one").changed]


def test_every_flipped_byte_is_found(story):
    """Segments, manifest, log, facts: one bit anywhere is named, with its file."""
    repository, chance = RecordingTree(), random.Random(5)
    facts = story.engine.backup(repository, "one")
    for file in facts.files:
        handle = repository.open_write(f"one/{file.path}")
        at = chance.randrange(file.size)
        byte = handle.read_at(at, 1)
        handle.write_at(at, bytes([byte[0] ^ 4]))
        assert [file.path] == [one.path for one in check(repository, "one").changed]
        handle.write_at(at, byte)
    assert check(repository, "one").whole
    handle = repository.open_write("one/backup.json")
    for at in range(0, handle.size(), 13):
        byte = handle.read_at(at, 1)
        handle.write_at(at, bytes([byte[0] ^ 4]))
        try:
            found = decode_facts(handle.read_at(0, handle.size()), at="backup.json")
        except (CorruptData, UnsupportedFormat):
            found = None
        assert found in {None, facts}, at  # a blank between two fields carries nothing
        handle.write_at(at, byte)


def test_missing_and_foreign_files_are_found(story):
    """Neither a lost file nor one that is not of the backup goes unseen."""
    repository = RecordingTree()
    facts = story.engine.backup(repository, "one")
    path = next(f.path for f in facts.files if ".segment" in f.path)
    repository.remove(f"one/{path}")
    repository.create("one/engine/wal/notes.txt").append(b"!")

    found = check(repository, "one")

    assert {path, "engine/wal/notes.txt"} == {one.path for one in found.changed}
    assert found.blocks_read


def test_a_damaged_segment_is_named_and_the_rest_goes_on(story):
    """What the medium does not give is zeros in the copy; the other files are whole."""
    repository = RecordingTree()
    story.engine.flush()
    bad = story.engine._state.segments[0].path
    lost = story.engine._state.segments[-1].path
    story.fs.fault = lambda what, path: errno.EIO if what == "read" and path == bad else None
    story.fs.remove(lost)

    facts = story.engine.backup(repository, "one")

    story.fs.fault = None
    assert {f"engine/{bad}", f"engine/{lost}"} == {one.path for one in facts.damage}
    found = check(repository, "one")
    assert () == found.changed
    assert {f"engine/{bad}", f"engine/{lost}"} <= {one.path for one in found.damage}
    assert told(open_backup(repository, "one"))


def test_a_given_up_backup_leaves_nothing(story):
    """The pace may end it at any read."""
    repository = RecordingTree()
    total = []
    story.engine.backup(repository, "whole", pace=total.append)
    for stop in range(0, len(total), 3):
        left = iter(range(stop))

        def pace(size, left=left):
            if next(left, None) is None:
                raise EngineClosed("cannot back up: aborted")

        with pytest.raises(EngineClosed):
            story.engine.backup(repository, "again", pace=pace)
        assert ["whole"] == [n for n in repository.list(".") if n != "lock"]
    assert story.engine.backup(repository, "again").lsn == story.engine.durable_lsn


def test_names_and_locks(story):
    """Refusals say what is wanted."""
    repository = RecordingTree()
    story.engine.backup(repository, "one")
    for name in ("", "../x", "a/b", "x.new", ".x", "lock", "one"):
        with pytest.raises(InvalidArgument):
            story.engine.backup(repository, name)
    with pytest.raises(InvalidArgument):
        story.engine.backup(repository, "two", parent="none")
    with pytest.raises(InvalidArgument):
        remove_backup(repository, "none")
    with pytest.raises(InvalidArgument):
        open_backup(repository, "one").backup(repository, "two")
    held = repository.lock("lock")
    with pytest.raises(StoreLocked):
        story.engine.backup(repository, "two")
    held.release()


def test_attached_files_are_part_of_it(story):
    """What lies beside the engine is digested, too."""
    repository = RecordingTree()

    def attach(directory):
        repository.create(f"{directory}/catalog").append(b"tags")
        return ["catalog"]

    facts = story.engine.backup(repository, "one", attach=attach)
    repository.open_write("one/catalog").write_at(0, b"T")

    assert ("catalog",) == facts.attached
    assert ["catalog"] == [one.path for one in check(repository, "one").changed]


def test_facts_of_a_newer_version_are_refused(story):
    """By name, not by accident."""
    facts = story.engine.backup(RecordingTree(), "one")
    assert facts == decode_facts(encode_facts(facts), at="here")
    newer = encode_facts(facts).replace(b'"format": 1', b'"format": 2')

    with pytest.raises(UnsupportedFormat):
        decode_facts(newer, at="here")


def test_a_backup_under_writes(tmp_path):
    """Appends, flushes and the log's rotation go on while it is taken; it is of one moment."""
    (tmp_path / "store").mkdir()
    story = Story(seed=9, fs=RealFileSystem(tmp_path / "store"))
    repository = RealFileSystem(tmp_path / "backups")
    story.go_on(20)
    before = story.engine.durable_lsn
    answers = told(story.engine, before)

    def go_on():
        story.append()
        story.change(erase=False)  # an erasure hides at every lsn, in the store alone
        if story.engine.durable_lsn % 3 == 0:
            compact(story.engine)

    facts = story.engine.backup(repository, "one", pace=lambda size: go_on())

    assert story.engine.durable_lsn > before + 5
    assert before <= facts.lsn
    held = open_backup(repository, "one")
    assert told(story.engine, facts.lsn) == told(held)
    assert answers == told(held, before)
    assert check(repository, "one").whole
    story.engine.close()


def test_cuts_at_every_operation_of_a_backup():
    """After a power cut a backup is whole or none; the next one sweeps and succeeds."""
    story = Story(seed=2)
    story.go_on(12)
    first = RecordingTree()
    story.engine.backup(first, "one")
    story.go_on(6)
    repository = RecordingTree(first.disk())
    facts = story.engine.backup(repository, "two", parent="one")
    last = repository.position
    want = told(story.engine, facts.lsn)
    seen = set()
    for moment in range(last + 1):
        for what, state in repository.crash_states(moment, limit=4):
            names = [one.name for one in list_backups(state)[0]]
            seen.add(len(names))
            assert "one" in names, what
            assert check(state, "one").whole, what
            if "two" in names:
                assert check(state, "two").whole, what
                assert want == told(open_backup(state, "two"), facts.lsn), what
            if moment == last:
                assert ["one", "two"] == names, what
            again = story.engine.backup(state, "three", parent="one")
            assert again.lsn >= facts.lsn
            assert not [name for name in state.list(".") if name.endswith(".new")]
    assert {1, 2} == seen


def test_cuts_at_every_operation_of_a_removal(story):
    """A backup that is going is there whole, or not at all; the others stay."""
    repository = RecordingTree()
    story.engine.backup(repository, "one")
    story.engine.backup(repository, "two", parent="one")
    before = RecordingTree(repository.disk())
    remove_backup(before, "one")
    for moment in range(before.position + 1):
        for what, state in before.crash_states(moment, limit=4):
            for one in list_backups(state)[0]:
                assert check(state, one.name).whole, what
            assert "two" in [one.name for one in list_backups(state)[0]], what


def test_facts_list_damage_and_go_on(story):
    """A backup whose facts are gone bad does not hide the others."""
    repository = RecordingTree()
    story.engine.backup(repository, "one")
    story.engine.backup(repository, "two")
    repository.open_write("one/backup.json").write_at(40, b"#")

    backups, damage = list_backups(repository)

    assert ["two"] == [one.name for one in backups]
    assert ["one/backup.json"] == [one.path for one in damage]
