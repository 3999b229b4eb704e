"""The recording twin with what a repository of backups needs: links, and directories that move."""

import errno

from storage_engine.recording import RecordingFileSystem, _normal, _refused
from storage_engine.recording_states import moved


class RecordingTree(RecordingFileSystem):
    """Files in memory, with hard links, and directories that are renamed and removed.

    The rename of a directory arrives as a whole or not at all, once its parent is synced. That a
    removed directory may be back after a cut, empty, is not drawn.
    """

    def link(self, src: str, dst: str) -> None:
        """Give a file a second name."""
        name = _normal(dst)
        self._allow("link", src)
        inode = self._inode("link", src)
        if name in self._names or name in self._directories:
            raise _refused("link", dst, errno.EEXIST)
        self._need_directory("link", dst)
        self._names[name] = inode
        self._note("create", inode, path=name)

    def is_directory(self, path: str) -> bool:
        """Whether a directory has this name."""
        return _normal(path) in self._directories

    def rename(self, src: str, dst: str) -> None:
        """Rename a file, or a directory onto a name that is free or an empty directory."""
        old, new = _normal(src), _normal(dst)
        if old not in self._directories:
            super().rename(src, dst)
            return
        self._allow("rename", src)
        self._need_directory("rename", dst)
        if new in self._names or self.list(new):
            raise _refused("rename", dst, errno.ENOTEMPTY)
        self._directories = moved(self._directories, old, new)
        for path in [path for path in self._names if path.startswith(old + "/")]:
            self._names[new + path[len(old) :]] = self._names.pop(path)
        self._note("rename_directory", path=old, target=new)

    def remove_directory(self, path: str) -> None:
        """Remove an empty directory."""
        name = _normal(path)
        self._allow("remove directory", path)
        if name not in self._directories:
            raise _refused("remove directory", path, errno.ENOENT)
        if self.list(name):
            raise _refused("remove directory", path, errno.ENOTEMPTY)
        self._directories.discard(name)
