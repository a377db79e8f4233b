"""Uploads on the disk of the server."""

from pathlib import Path

import pytest

from faceloupe.server.uploads import PendingBytes, Upload


def waiting(folder: Path, *, most: int = 100) -> Upload:
    """An upload with the largest allowed number of waiting bytes."""
    path = folder / "upload"
    path.write_bytes(b"x" * most)
    pending = PendingBytes(most)
    pending.add(most)
    return Upload(path, "photo.jpg", most, pending)


def test_the_bytes_of_an_upload_are_released_once(tmp_path):
    upload = waiting(tmp_path)
    upload.remove()
    upload.pending.add(100)  # of the next one
    upload.remove()
    assert upload.pending._bytes == 100


def test_an_upload_that_something_else_removed_does_not_count_any_more(tmp_path):
    upload = waiting(tmp_path)
    upload.path.unlink()
    upload.remove()
    assert upload.pending._bytes == 0


def test_an_upload_that_cannot_be_removed_does_not_keep_others_out(tmp_path):
    upload = waiting(tmp_path)
    upload.path.unlink()
    upload.path.mkdir()
    with pytest.raises((IsADirectoryError, PermissionError)):
        upload.remove()
    assert upload.pending._bytes == 0
