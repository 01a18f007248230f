"""An export file and, when asked for, its compressed copy, written in one pass.

The copy is made here, once, and never per download. Equal bytes give an equal copy: the gzip header
carries no time and no name.
"""

from __future__ import annotations

import zlib
from types import TracebackType

from fhir_facade.bulk.files import FileStore, FileWriter

GZIP_SUFFIX = ".gz"
_FASTEST = 1
_GZIP_WINDOW = 31


class Copies:
    """The file under `key`, and its copy under `key` + `.gz`. Nothing is opened before the first
    write; what is not committed when the block ends leaves nothing behind."""

    def __init__(self, files: FileStore, key: str, *, compressed: bool = False) -> None:
        self._files = files
        self._key = key
        self._plain: FileWriter | None = None
        self._packed: FileWriter | None = None
        self._packer = None
        if compressed:
            self._packer = zlib.compressobj(_FASTEST, zlib.DEFLATED, _GZIP_WINDOW)

    def __enter__(self) -> Copies:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for writer in (self._plain, self._packed):
            if writer is not None:
                writer.discard()

    def write(self, data: bytes) -> None:
        """Append to both. Raises StorageError."""
        if not data:
            return
        if self._plain is None:
            self._plain = self._files.create(self._key)
        self._plain.write(data)
        if self._packer is not None:
            if self._packed is None:
                self._packed = self._files.create(self._key + GZIP_SUFFIX)
            if packed := self._packer.compress(data):
                self._packed.write(packed)

    def commit(self) -> None:
        """Finish both; the plain file is the last to appear. Raises StorageError."""
        if self._packed is not None and self._packer is not None:
            self._packed.write(self._packer.flush())
            self._packed.commit()
        if self._plain is not None:
            self._plain.commit()

    def delete(self) -> None:
        """Remove both, finished or not; none there is no error. Raises StorageError."""
        self._files.delete(self._key + GZIP_SUFFIX)
        self._files.delete(self._key)
