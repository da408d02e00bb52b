"""Files are written whole or not at all, with the permissions that they had, and errors name them."""

import errno
import os
import stat
import subprocess
import sys

import pytest

from skeeg.files import fetch, write_atomically

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")
unprivileged = pytest.mark.skipif(
    os.name != "posix" or os.geteuid() == 0, reason="the system's administrator may do everything"
)
administrator = pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0, reason="needs the right to give files away"
)


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def only(path):
    """Nothing but the file is in its folder, no leftovers."""
    return [p.name for p in path.parent.iterdir()] == [path.name]


@posix
@pytest.mark.parametrize("wanted", [0o600, 0o640, 0o644, 0o666, 0o700])
def test_permissions_of_a_file_stay(wanted, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(wanted)
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert mode(path) == wanted
    assert only(path)


@posix
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_new_files_follow_the_umask(umask, tmp_path):
    before = os.umask(umask)
    try:
        write_atomically(tmp_path / "file", b"new")
    finally:
        os.umask(before)
    assert mode(tmp_path / "file") == 0o666 & ~umask


@posix
def test_a_private_file_is_private_while_it_is_written(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o600)
    seen, fsync = [], os.fsync

    def watch(descriptor):
        seen.extend(mode(p) for p in tmp_path.iterdir())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    write_atomically(path, b"new")
    assert set(seen) == {0o600}
    assert len(seen) == 3  # the old and the new one, then the new one in the folder


@administrator
def test_the_owner_stays(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    os.chown(path, 12345, 23456)
    path.chmod(0o640)
    write_atomically(path, b"new")
    assert (os.stat(path).st_uid, os.stat(path).st_gid, mode(path)) == (12345, 23456, 0o640)


@administrator
def test_the_group_stays_where_the_owner_cannot(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    os.chown(path, 12345, 23456)
    chown = os.chown

    def by_anyone(name, owner, group):
        if owner != -1:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        chown(name, owner, group)

    monkeypatch.setattr(os, "chown", by_anyone)
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert (os.stat(path).st_uid, os.stat(path).st_gid) == (os.geteuid(), 23456)


@posix
def test_pipes_devices_and_folders_are_no_files(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, error in ((pipe, OSError), (tmp_path, IsADirectoryError), ("/dev/null", OSError)):
        before = os.stat(path)
        with pytest.raises(error, match=r"this is a (device, a pipe|directory)") as caught:
            write_atomically(path, b"new")
        assert caught.value.filename == str(path)
        assert stat.S_IFMT(os.stat(path).st_mode) == stat.S_IFMT(before.st_mode)
        assert os.stat(path).st_ino == before.st_ino
    assert only(pipe)


@posix
def test_standard_output_is_no_file(tmp_path):
    code = "from skeeg.files import write_atomically; write_atomically('/dev/stdout', b'new')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == ""
    assert "this is a device, a pipe or a socket; name a file: '/dev/stdout'" in done.stderr


@posix
def test_links_are_written_through(tmp_path):
    (tmp_path / "there").mkdir()
    target = tmp_path / "there" / "file"
    for link, to in (("absolute", target), ("relative", "there/file"), ("twice", "absolute")):
        (tmp_path / link).symlink_to(to)
        for content in (link.encode(), b"again"):
            write_atomically(tmp_path / link, content)
            assert target.read_bytes() == content
            assert (tmp_path / link).is_symlink()
        target.unlink()  # the next link dangles
    (tmp_path / "round").symlink_to("round")
    with pytest.raises(OSError, match="round"):
        write_atomically(tmp_path / "round", b"new")


@pytest.mark.parametrize("length", [239, 240, 255])
def test_names_as_long_as_the_system_takes(length, tmp_path):
    path = tmp_path / ("x" * length)
    for content in (b"new", b"newer"):
        write_atomically(path, content)
        assert path.read_bytes() == content
    assert only(path)


def test_a_name_that_is_too_long(tmp_path):
    path = tmp_path / ("x" * 256)
    with pytest.raises(OSError) as caught:
        write_atomically(path, b"new")
    assert caught.value.filename == str(path)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_names_the_path_and_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        write_atomically(path, b"new")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
    assert path.read_bytes() == b"old"
    assert only(path)


@posix
def test_a_folder_that_cannot_be_synchronised_does_no_harm(tmp_path, monkeypatch):
    fsync = os.fsync

    def files_alone(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", files_alone)
    write_atomically(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


@unprivileged
def test_what_may_not_be_written(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o400)
    with pytest.raises(PermissionError, match="write-protected") as caught:
        write_atomically(path, b"new")
    assert caught.value.filename == str(path)
    path.chmod(0o600)
    tmp_path.chmod(0o500)
    try:
        for name in ("file", "other"):
            with pytest.raises(PermissionError) as caught:
                write_atomically(tmp_path / name, b"new")
            assert caught.value.filename == str(tmp_path / name)
        assert path.read_bytes() == b"old"
    finally:
        tmp_path.chmod(0o700)


def test_folders_that_are_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no directory") as caught:
        write_atomically(tmp_path / "no" / "file", b"new")
    assert caught.value.filename == str(tmp_path / "no" / "file")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError) as caught:
        write_atomically(tmp_path / "file" / "deeper", b"new")
    assert caught.value.filename == str(tmp_path / "file" / "deeper")


@pytest.mark.parametrize(
    "source", ["nothing", "a/b/c", "/tmp/no", "./no", "~/no", "user/", "models/left.safetensors", ""]
)
def test_what_is_no_name_of_a_repository_is_said_at_once(source):
    with pytest.raises(FileNotFoundError, match="is neither a directory nor the name of a repository"):
        fetch(source, "x")


def test_a_file_is_no_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "left").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="it is a file: give it to load"):
        fetch("left", "x")
    with pytest.raises(FileNotFoundError, match=r"the directory '.*' holds no file 'x'"):
        fetch(tmp_path, "x")
