"""What was found damaged outlives a restart: files kept by name, findings in a list on disk.

Nothing damaged is ever deleted. A file that no generation can name any more (a broken generation,
a segment that could not be adopted) is moved by name below ``damaged/``; a segment that is named
stays where it is. What was found is written into ``damaged/findings.json`` and named again at each
open, for as long as it holds: a segment that is sound again or gone from the manifest is not.
"""

import json
from collections.abc import Iterable

from storage_engine.errors import CorruptData, DataError, DiskError
from storage_engine.filesystem import FileSystem
from storage_engine.findings import Findings
from storage_engine.manifest import DIRECTORY as MANIFESTS
from storage_engine.manifest import decode_manifest
from storage_engine.segment.layout import DIRECTORY as SEGMENTS
from storage_engine.segment.layout import SegmentInfo
from storage_engine.segment.reader import SegmentReader
from storage_engine.wal_record import DAMAGED, Finding

_LOG = "wal"
LEDGER = f"{DAMAGED}/findings.json"


class Aside:
    """Damaged files and findings of one open store.

    Parameters
    ----------
    fs : FileSystem
    found : Findings
    """

    def __init__(self, fs: FileSystem, found: Findings) -> None:
        self._fs = fs
        self._found = found
        self._saved: list[Finding] = []

    def move(self, live: Iterable[SegmentInfo]) -> None:
        """Move what was found broken and has no place any more; call before the first commit.

        Parameters
        ----------
        live : iterable of SegmentInfo
            Stay where they are, damaged or not.

        Notes
        -----
        A disk that refuses is no reason to stay closed: then the files stay, named.
        """
        named = {info.path for info in live}
        for finding in self._found.list():
            path = finding.path
            broken = path.startswith(f"{MANIFESTS}/") and self._broken_manifest(path)
            broken |= path.startswith(f"{SEGMENTS}/") and path not in named
            try:
                if broken and self._fs.exists(path):
                    self._move(path)
            except DiskError as error:
                self._found.add(path, 0, f"cannot be moved to {DAMAGED}/: {error}")

    def _broken_manifest(self, path: str) -> bool:
        try:
            file = self._fs.open_read(path)
            try:
                decode_manifest(file.read_at(0, file.size()), at=path)
            finally:
                file.close()
        except (CorruptData, KeyError, ValueError, TypeError):
            return True
        except (DataError, DiskError):
            return False  # a newer version's, or a medium that may answer the next time
        return False

    def _move(self, path: str) -> None:
        kept = f"{DAMAGED}/{path}"
        directory, number = kept.rpartition("/")[0], 0
        self._fs.make_directories(directory)
        while self._fs.exists(kept):
            number += 1
            kept = f"{DAMAGED}/{path}.{number}"
        self._fs.rename(path, kept)
        self._fs.sync_directory(directory)
        self._fs.sync_directory(path.rpartition("/")[0])
        self._found.add(kept, 0, f"kept here: it was {path}, and could not be read")

    def recall(self, reader: SegmentReader, live: Iterable[SegmentInfo]) -> None:
        """Name again what was found before this open and still holds.

        Parameters
        ----------
        reader : SegmentReader
            Looks at segments that were damaged; what still is, it names.
        live : iterable of SegmentInfo
        """
        infos = {info.path: info for info in live}
        self._saved = self._read()
        for finding in self._saved:
            path = finding.path
            if path in infos:
                self._look(reader, infos[path], finding.offset)
            elif self._still(finding):
                self._found.add(path, finding.offset, finding.what)

    def _still(self, finding: Finding) -> bool:
        """Whether a finding holds without a look: files kept, and records lost for good."""
        if finding.path.startswith(f"{DAMAGED}/"):
            return self._fs.exists(finding.path)
        # A medium that refused may answer now; if it does not, the replay names it again.
        refused = finding.what.startswith("cannot ")
        return finding.path.partition("/")[0] == _LOG and not refused

    def _look(self, reader: SegmentReader, info: SegmentInfo, offset: int) -> None:
        directory = reader.directory(info)
        if directory is not None:
            offsets = directory.table["block_offset"].tolist()
            if offset in offsets:
                reader.block(directory, offsets.index(offset))

    def _read(self) -> list[Finding]:
        if not self._fs.exists(LEDGER):
            return []
        try:
            file = self._fs.open_read(LEDGER)
            try:
                held = json.loads(file.read_at(0, file.size()))
            finally:
                file.close()
            return [Finding(str(e["path"]), int(e["offset"]), str(e["what"])) for e in held]
        except (DiskError, ValueError, KeyError, TypeError) as error:
            self._found.add(LEDGER, 0, f"the list of findings cannot be read: {error}")
            return []

    def save(self) -> None:
        """Write the list when there is something new; a disk that refuses is asked again later."""
        found = self._found.list()
        if set(found) == set(self._saved):
            return
        facts = [{"path": f.path, "offset": f.offset, "what": f.what} for f in found]
        try:
            self._fs.make_directories(DAMAGED)
            new = LEDGER + ".new"
            if self._fs.exists(new):
                self._fs.remove(new)
            file = self._fs.create(new)
            try:
                file.append(json.dumps(facts, indent=1).encode())
                file.sync()
            finally:
                file.close()
            self._fs.rename(new, LEDGER)
            self._fs.sync_directory(DAMAGED)
        except DiskError:
            return
        self._saved = found
