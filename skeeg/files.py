"""Files of weights: written whole or not at all, fetched from a directory or from the Hugging Face Hub."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import tempfile
import uuid
from pathlib import Path

_SECONDS_TO_ANSWER = 5


def write_atomically(path, data):
    """Write a file so that a crash leaves either the old file or the new one, never a part.

    Parameters
    ----------
    path : str or os.PathLike
        The file; its directory must exist. A file that is there keeps its permissions and, where the system
        allows, its owner; a symbolic link stays one, and what it points to is written.
    data : bytes
        Its new content.

    Raises
    ------
    FileNotFoundError
        When there is no such directory.
    OSError
        When the path is a directory, a device or a pipe, may not be written, or does not fit the disk; the
        error names the path. What was there is as it was.
    """
    path = os.fspath(path)
    try:
        _write_atomically(path, data)
    except OSError as error:
        if error.errno is None or error.filename == path:
            raise
        raise OSError(error.errno, error.strerror, path) from error  # not the temporary file's name


def _write_atomically(path, data):
    try:
        old = os.stat(path)
    except FileNotFoundError:
        old = None
    target = Path(os.path.realpath(path))  # a link stays a link
    if old is None and not target.parent.is_dir():
        raise FileNotFoundError(
            errno.ENOENT, f"there is no directory {str(target.parent)!r} to write {target.name!r} to", path
        )
    if old is not None:
        if stat.S_ISDIR(old.st_mode):
            raise IsADirectoryError(errno.EISDIR, "this is a directory; name a file in it", path)
        if not stat.S_ISREG(old.st_mode):
            raise OSError(errno.EINVAL, "this is a device, a pipe or a socket; name a file", path)
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, "this file is write-protected", path)
    temporary = target.with_name(f".{uuid.uuid4().hex}")
    try:
        # never readable by more people than the old file, not even before it has its permissions
        mode = 0o666 if old is None else stat.S_IMODE(old.st_mode) & 0o777
        with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            if old is not None:
                _keep_permissions(target, old, temporary)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    if os.name == "posix":  # the new name in the directory should reach the disk as well
        with contextlib.suppress(OSError):  # which some file systems do not offer; the file itself is there
            directory = os.open(target.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)


def _keep_permissions(target, old, temporary):
    """Give a new file the owner, the permissions and the access lists of the one that it replaces."""
    if os.name == "posix":
        new = os.stat(temporary)
        if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
            for owner in (old.st_uid, -1):  # only the system's administrator may give files away
                with contextlib.suppress(PermissionError):
                    os.chown(temporary, owner, old.st_gid)
                    break
    shutil.copystat(target, temporary)


def fetch(source, name, *, revision=None, token=None, cache_dir=None):
    """Find a file in a local directory, else download it from a repository of the Hugging Face Hub.

    Parameters
    ----------
    source : str or os.PathLike
        A directory, or the name of a repository, "user/name".
    name : str
        Name of the file.
    revision, token, cache_dir : str, optional
        Handed to ``huggingface_hub.hf_hub_download``.

    Returns
    -------
    str or pathlib.Path
        Path of the file on this machine.

    Raises
    ------
    FileNotFoundError
        When the directory or repository does not hold the file, there is no such repository, or ``source``
        is neither a directory nor the name of a repository.
    ImportError
        When the file has to be downloaded and huggingface_hub is missing.
    ConnectionError
        When the Hub cannot be reached, and the file was not fetched before.
    PermissionError
        When the Hub refuses the token, or asks for one, as it does for repositories that do not exist.
    """
    source = os.fspath(source)
    if os.path.isdir(source):
        path = Path(source, name)
        if not path.is_file():
            raise FileNotFoundError(f"the directory {source!r} holds no file {name!r}")
        return path
    if source.count("/") != 1 or source.startswith(("/", ".", "~")) or source.endswith(("/", ".safetensors")):
        raise FileNotFoundError(
            f"{source!r} is neither a directory nor the name of a repository on the Hub, 'user/name'"
            + ("; it is a file: give it to load" if os.path.isfile(source) else "")
        )
    with _hub(f"to give {name!r} of {source!r}") as hub:
        # huggingface_hub would try for half a minute; this asks once, and goes on with what is in its cache
        trouble = _trouble(hub, hub.hf_hub_url(source, name, revision=revision), token)
        try:
            return hub.hf_hub_download(
                source,
                name,
                revision=revision,
                token=token,
                cache_dir=cache_dir,
                local_files_only=trouble is not None,
            )
        except hub.errors.LocalEntryNotFoundError as error:
            raise ConnectionError(
                f"{source!r} is no directory here, was not fetched before, and cannot be fetched: {trouble}. "
                "Check the name and the connection"
            ) from error


def upload(repo_id, files, *, private=None, token=None, commit_message):
    """Put files into a repository of the Hugging Face Hub, which is made where it does not exist.

    Parameters
    ----------
    repo_id : str
        Name of the repository, "user/name".
    files : dict of str to bytes
        Content of each file, by name.
    private : bool, optional
        Whether a new repository is private; the Hub's default when not given.
    token : str, optional
        Access token; the one of ``hf auth login`` when not given.
    commit_message : str
        What the commit says.

    Returns
    -------
    str
        Address of the commit.

    Raises
    ------
    ImportError
        When huggingface_hub is missing.
    PermissionError
        When the token is missing or may not write there.
    """
    with _hub(f"to write to {repo_id!r}") as hub, tempfile.TemporaryDirectory() as folder:
        api = hub.HfApi(token=token)
        try:
            repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        except hub.errors.HfHubHTTPError:
            raise  # it answers
        except ValueError:
            raise  # no name
        except Exception as error:  # of whichever library carries requests
            raise ConnectionError(f"the Hub cannot be reached: {_reason(error)}") from error
        for name, data in files.items():
            Path(folder, name).write_bytes(data)
        commit = api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message=commit_message)
    return commit.commit_url


@contextlib.contextmanager
def _hub(task):
    """Import huggingface_hub, or say how to install it; say what to do where the Hub refuses a call."""
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError as error:
        raise ImportError(
            "the Hugging Face Hub needs huggingface_hub: pip install 'skeeg[hub]'. Saving to and loading "
            "from local files works without it"
        ) from error
    try:
        yield huggingface_hub
    except huggingface_hub.errors.HFValidationError as error:
        raise FileNotFoundError(
            f"no directory here, and no name of a repository on the Hub: {error}"
        ) from error
    except huggingface_hub.errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        if status not in (401, 403, 404):
            raise
        kind = FileNotFoundError if status == 404 else PermissionError
        reason = error.server_message or "no reason given"
        raise kind(
            f"the Hub refuses {task}: {reason} (status {status}). Check the name of the repository and the "
            "revision; private repositories, and writing, need a token that is allowed to: give token, or "
            "log in with `hf auth login`"
        ) from error


def _trouble(hub, url, token):
    """Tell, in a few words, why the Hub cannot be asked for a file now; None where it answers."""
    try:
        hub.get_hf_file_metadata(url, token=token, timeout=_SECONDS_TO_ANSWER)
    except hub.errors.HfHubHTTPError as error:
        if error.response.status_code < 500 and error.response.status_code != 429:
            raise
        return f"the Hub answers with status {error.response.status_code}"
    except Exception as error:  # of whichever library carries requests
        return f"the Hub cannot be reached ({_reason(error)})"
    return None


def _reason(error):
    return " ".join(str(error).split()) or type(error).__name__
