"""Where export files live: the `FileStore` protocol and its local form.

A file appears whole or not at all: a writer's bytes are durable and visible under their key only
once `commit` has returned. Keys are relative paths of safe segments
(`{tenant}/{job}/{part}-{attempt}.ndjson`); they hold no PHI. A key is written once and never
changed. Every store runs the suite in `tests/contract/test_file_stores.py`.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

from fhir_facade.errors import SettingsError

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*", re.ASCII)
_UNFINISHED = ".unfinished-"


class StorageError(Exception):
    """The store did not do what was asked: full, read-only, gone. The message names the reason, not
    the place.
    """


class FileWriter(Protocol):
    """One file in the making. Leaving it uncommitted leaves nothing behind."""

    def write(self, data: bytes) -> None:
        """Append. Callers hand over large pieces; nothing is buffered here. Raises StorageError."""

    def commit(self) -> None:
        """Make the bytes durable and visible under the key, or neither. Raises StorageError."""

    def discard(self) -> None:
        """Drop what was written; harmless after `commit` and when repeated."""


class FileStore(Protocol):
    """Finished files by key."""

    def create(self, key: str) -> FileWriter:
        """Start a file. Raises StorageError."""

    def open(self, key: str) -> BinaryIO:
        """The bytes of a finished file, for reading. Raises FileNotFoundError."""

    def size(self, key: str) -> int | None:
        """Bytes of a finished file, None when there is none."""

    def path(self, key: str) -> Path | None:
        """A local path to serve from, None when the store has none or the file is gone."""

    def delete(self, key: str) -> None:
        """Remove one file, finished or not; none there is no error. Readers keep what they have
        open. Raises StorageError.
        """

    def delete_all(self, prefix: str) -> None:
        """Remove every file, finished or not, under the folder `prefix`. Raises StorageError."""


class LocalFiles:
    """Files in a directory of this host, mode 0600 in directories 0700: exports are PHI."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def create(self, key: str) -> LocalWriter:
        """Start a file beside its final place, so that the last step is a rename."""
        target = self._locate(key)
        with _storage("create"):
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return LocalWriter(target)

    def open(self, key: str) -> BinaryIO:
        """The finished file."""
        return self._locate(key).open("rb")

    def size(self, key: str) -> int | None:
        """Its length in bytes."""
        try:
            return self._locate(key).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def path(self, key: str) -> Path | None:
        """Its path, absolute."""
        path = self._locate(key).absolute()
        return path if path.is_file() else None

    def delete(self, key: str) -> None:
        """Unlink it, and what writers that were killed left of it."""
        target = self._locate(key)
        with _storage("delete"):
            for path in [target, *target.parent.glob(f"{target.name}{_UNFINISHED}*")]:
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    path.unlink()

    def delete_all(self, prefix: str) -> None:
        """Remove the folder; a writer at work in it finds its place gone and fails."""
        folder = self._locate(prefix)
        with _storage("delete"), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            shutil.rmtree(folder)

    def _locate(self, key: str) -> Path:
        if _KEY.fullmatch(key) is None:
            raise ValueError("not a file key")
        return self._root / key


class LocalWriter:
    """A file under a temporary name until `commit`: fsync, rename, fsync of the directory."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._temporary = target.with_name(f"{target.name}{_UNFINISHED}{secrets.token_hex(4)}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
        self._handle: int | None = os.open(self._temporary, flags, 0o600)

    def write(self, data: bytes) -> None:
        """Write all of `data` to the file."""
        handle = self._open_handle()
        with _storage("write"):
            view = memoryview(data)
            while view:
                view = view[os.write(handle, view) :]

    def commit(self) -> None:
        """Durable under its key when this returns."""
        handle = self._open_handle()
        with _storage("finish"):
            os.fsync(handle)
            self._close()
            os.replace(self._temporary, self._target)
            _sync_directory(self._target.parent)

    def discard(self) -> None:
        """Remove the temporary file."""
        self._close()
        with contextlib.suppress(OSError):
            self._temporary.unlink()

    def _open_handle(self) -> int:
        if self._handle is None:
            raise StorageError("the file is closed")
        return self._handle

    def _close(self) -> None:
        if self._handle is not None:
            handle, self._handle = self._handle, None
            os.close(handle)


def open_files(url: str) -> FileStore:
    """The store a `file:` URL names: `file:var/files` is relative to the working directory.

    Raises SettingsError for any other scheme or a host.
    """
    parts = urlsplit(url)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost") or not parts.path:
        raise SettingsError("FACADE_FILES_URL must be a file: address of a local directory.")
    return LocalFiles(Path(unquote(parts.path)))


@contextmanager
def _storage(action: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else "unknown error"
        raise StorageError(f"cannot {action} an export file: {reason}") from None


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
