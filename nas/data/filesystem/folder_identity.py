"""Identity of a folder, by which a worker notices that its disk was unmounted or replaced."""

from __future__ import annotations

from pathlib import Path


class FolderIdentity:
    """Identity of a folder at the first look at it.

    Under the folder of an unmounted disk there is another one, of the machine's own disk, in which files would get lost
    without an error. The inode tells them apart; unlike the device, it outlasts that a network disk is mounted again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode: int | None = None

    def is_unchanged(self) -> bool:
        """Return False if another folder is at the path by now, or none.

        The first call that finds a folder notes its identity; until then everything is unchanged.

        Raises:
            OSError: The folder was there, and cannot be looked at any more.
        """
        try:
            inode = self._path.stat().st_ino
        except OSError:
            if self._inode is None:
                return True
            raise
        if self._inode is None:
            self._inode = inode
        return inode == self._inode
