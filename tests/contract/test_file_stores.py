"""The contract of a file store. A further store adds itself to `STORES` and must pass as it is."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fhir_facade.bulk.compress import Copies
from fhir_facade.bulk.files import FileStore, LocalFiles, StorageError, open_files
from fhir_facade.errors import SettingsError

STORES: dict[str, Callable[[Path], FileStore]] = {
    "local": lambda root: LocalFiles(root / "files"),
    "url": lambda root: open_files(f"file://{root}/with%20blank"),
}


@pytest.fixture(params=sorted(STORES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FileStore:
    return STORES[request.param](tmp_path)


def write(store: FileStore, key: str, *pieces: bytes) -> None:
    writer = store.create(key)
    for piece in pieces:
        writer.write(piece)
    writer.commit()


def read(store: FileStore, key: str) -> bytes:
    with store.open(key) as file:
        return file.read()


def test_a_file_is_there_once_it_is_finished(store: FileStore) -> None:
    writer = store.create("acme/job/1-1.ndjson")
    writer.write(b"one\n")
    assert store.size("acme/job/1-1.ndjson") is None
    assert store.path("acme/job/1-1.ndjson") is None
    with pytest.raises(FileNotFoundError):
        store.open("acme/job/1-1.ndjson").close()
    writer.write(b"two\n" * 1_000_000)
    writer.commit()
    writer.discard()
    whole = b"one\n" + b"two\n" * 1_000_000
    assert read(store, "acme/job/1-1.ndjson") == whole
    assert store.size("acme/job/1-1.ndjson") == len(whole)


def test_a_discarded_file_never_was(store: FileStore) -> None:
    writer = store.create("acme/job/1-1.ndjson")
    writer.write(b"half")
    writer.discard()
    writer.discard()
    assert store.size("acme/job/1-1.ndjson") is None
    with pytest.raises(StorageError):
        writer.write(b"more")
    with pytest.raises(StorageError):
        writer.commit()


def test_two_writers_of_two_attempts_do_not_meet(store: FileStore) -> None:
    late, early = store.create("acme/job/1-1.ndjson"), store.create("acme/job/1-2.ndjson")
    late.write(b"late")
    early.write(b"early")
    early.commit()
    late.commit()
    assert read(store, "acme/job/1-2.ndjson") == b"early"
    assert read(store, "acme/job/1-1.ndjson") == b"late"


def test_delete_takes_one_file_and_its_leftovers(store: FileStore) -> None:
    write(store, "acme/job/1-1.ndjson", b"x")
    write(store, "acme/job/1-10.ndjson", b"y")
    lost = store.create("acme/job/1-1.ndjson")
    lost.write(b"of a worker that was killed")
    store.delete("acme/job/1-1.ndjson")
    store.delete("acme/job/1-1.ndjson")
    store.delete("acme/other/1-1.ndjson")
    assert store.size("acme/job/1-1.ndjson") is None
    assert read(store, "acme/job/1-10.ndjson") == b"y"
    with pytest.raises(StorageError):
        lost.commit()
    lost.discard()


def test_a_reader_keeps_a_file_that_is_deleted(store: FileStore) -> None:
    write(store, "acme/job/1-1.ndjson", b"x" * 100_000)
    with store.open("acme/job/1-1.ndjson") as file:
        store.delete_all("acme/job")
        assert len(file.read()) == 100_000


def test_delete_all_takes_a_folder_and_no_other(store: FileStore) -> None:
    write(store, "acme/job/1-1.ndjson", b"x")
    write(store, "acme/job2/1-1.ndjson", b"y")
    unfinished = store.create("acme/job/2-1.ndjson")
    unfinished.write(b"z")
    store.delete_all("acme/job")
    store.delete_all("acme/job")
    assert store.size("acme/job/1-1.ndjson") is None
    assert read(store, "acme/job2/1-1.ndjson") == b"y"
    with pytest.raises(StorageError):
        unfinished.commit()
    unfinished.discard()


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", ".hidden", "a/.b", "a\\b", "a\nb"]
)
def test_a_key_stays_in_its_place(store: FileStore, key: str) -> None:
    for use in (store.create, store.open, store.size, store.path, store.delete, store.delete_all):
        with pytest.raises(ValueError, match="not a file key"):
            use(key)


def test_concurrent_writers(store: FileStore) -> None:
    def work(n: int) -> None:
        write(store, f"acme/job/{n}-1.ndjson", *[b"%d\n" % n] * 1000)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n in range(8):
        assert read(store, f"acme/job/{n}-1.ndjson") == b"%d\n" % n * 1000


WRITE_FOR_EVER = """
import sys
from fhir_facade.bulk.files import open_files
writer = open_files(sys.argv[1]).create("acme/job/1-1.ndjson")
for _ in range(10_000):
    writer.write(b"x" * 65536)
    print("on", flush=True)
writer.commit()
"""


def test_a_killed_writer_leaves_no_file(tmp_path: Path) -> None:
    url = f"file:{tmp_path}/files"
    command = [sys.executable, "-c", WRITE_FOR_EVER, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=os.getcwd()) as worker:
        assert worker.stdout is not None
        worker.stdout.readline()
        worker.kill()
    store = open_files(url)
    assert store.size("acme/job/1-1.ndjson") is None
    assert list(tmp_path.rglob("*unfinished*"))
    store.delete("acme/job/1-1.ndjson")
    assert not list(tmp_path.rglob("*unfinished*"))


def test_files_are_private(tmp_path: Path) -> None:
    write(LocalFiles(tmp_path / "files"), "acme/job/1-1.ndjson", b"x")
    assert (tmp_path / "files/acme/job/1-1.ndjson").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "files/acme/job").stat().st_mode & 0o777 == 0o700


def test_a_full_disk_is_a_storage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = LocalFiles(tmp_path).create("acme/job/1-1.ndjson")

    def full(_handle: int, _data: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/secret/place")

    with monkeypatch.context() as patch:
        patch.setattr("fhir_facade.bulk.files.os.write", full)
        with pytest.raises(StorageError, match="No space left on device") as caught:
            writer.write(b"x")
    assert "secret" not in str(caught.value)
    writer.discard()
    assert not list(tmp_path.rglob("*unfinished*"))


def test_a_place_that_is_no_directory_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "files").write_text("in the way")
    store = LocalFiles(tmp_path / "files")
    with pytest.raises(StorageError, match="cannot create"):
        store.create("acme/job/1-1.ndjson")
    assert store.size("acme/job/1-1.ndjson") is None
    store.delete("acme/job/1-1.ndjson")


def test_copies_are_equal_for_equal_bytes(store: FileStore) -> None:
    """Time passes between the two, and the piece sizes differ: the copies do not."""
    digests = []
    for attempt, size in ((1, 1000), (2, 7777)):
        with Copies(store, f"acme/job/1-{attempt}.ndjson", compressed=True) as copies:
            data = b"a line\n" * 50_000
            for start in range(0, len(data), size):
                copies.write(data[start : start + size])
            copies.commit()
        digests.append(hashlib.sha256(read(store, f"acme/job/1-{attempt}.ndjson.gz")).hexdigest())
        time.sleep(0.01)
    assert digests[0] == digests[1]
    Copies(store, "acme/job/1-1.ndjson").delete()
    assert store.size("acme/job/1-1.ndjson.gz") is None
    assert store.size("acme/job/1-1.ndjson") is None


@pytest.mark.parametrize("url", ["s3://bucket/x", "file:", "file://host/x", "/var/files", ""])
def test_other_addresses_stop_the_start(url: str) -> None:
    with pytest.raises(SettingsError, match="FACADE_FILES_URL"):
        open_files(url)
