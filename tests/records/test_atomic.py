import errno
import os
import stat

import pytest

from dcbench.errors import RunError
from dcbench.records.atomic import write_bytes, writing


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_umask_says_who_may_read_a_file(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        write_bytes(tmp_path / "file", b"content")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode


def test_file_system_that_refuses_chmod_is_none_of_our_business(tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    for name in ("chmod", "fchmod"):
        monkeypatch.setattr(os, name, refuse)
    write_bytes(tmp_path / "file", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some space"),
        (errno.EACCES, "choose a folder that you may write to"),
        (errno.EROFS, "choose a folder that you may write to"),
        (errno.ENOTDIR, "something else stands in its place"),
        (errno.ENAMETOOLONG, "a name is longer than the file system allows"),
        (errno.EIO, ""),
    ],
)
def test_advice_is_for_the_error_that_there_is(tmp_path, number, advice):
    with pytest.raises(RunError) as refused, writing(tmp_path):
        raise OSError(number, os.strerror(number))
    assert str(refused.value).startswith(f"cannot write {tmp_path}: {os.strerror(number)}")
    assert advice in str(refused.value)
    assert ("free some space" in str(refused.value)) == (advice == "free some space")


def test_folder_in_the_place_of_a_file_is_named_and_nothing_is_left(tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(RunError, match="Is a directory; something else stands in its place"):
        write_bytes(tmp_path / "file", b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
