"""Files of weights: written whole or not at all, fetched from a directory or from the Hugging Face Hub."""

from __future__ import annotations

import os
import tempfile
import uuid
from contextlib import contextmanager
from pathlib import Path


def write_atomically(path, data):
    """Write a file so that a crash leaves either the old file or the new one, never a part.

    Parameters
    ----------
    path : str or os.PathLike
        The file; its directory must exist.
    data : bytes
        Its new content.

    Raises
    ------
    FileNotFoundError
        When there is no such directory.
    """
    path = Path(os.path.realpath(path))  # a link stays a link
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no directory {str(path.parent)!r} to write {path.name!r} to")
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    if os.name == "posix":  # the new name in the directory must reach the disk as well
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


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
    PermissionError
        When the Hub refuses the token, or asks for one, as it does for repositories that do not exist.
    """
    source = os.fspath(source)
    if os.path.isdir(source):
        path = Path(source, name)
        if not path.is_file():
            raise FileNotFoundError(f"the directory {source!r} holds no file {name!r}")
        return path
    if source.count("/") != 1 or source.startswith(("/", ".", "~")) or source.endswith("/"):
        raise FileNotFoundError(
            f"{source!r} is neither a directory nor the name of a repository on the Hub, 'user/name'"
        )
    with _hub(f"to give {name!r} of {source!r}") as hub:
        return hub.hf_hub_download(source, name, revision=revision, token=token, cache_dir=cache_dir)


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
        repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        for name, data in files.items():
            Path(folder, name).write_bytes(data)
        commit = api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message=commit_message)
    return commit.commit_url


@contextmanager
def _hub(task):
    """Import huggingface_hub, or say how to install it; say what to do where the Hub refuses a call."""
    try:
        import huggingface_hub
        from huggingface_hub.utils import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError as error:
        raise ImportError(
            "the Hugging Face Hub needs huggingface_hub: pip install 'skeeg[hub]'. Saving to and loading "
            "from local files works without it"
        ) from error
    try:
        yield huggingface_hub
    except (HfHubHTTPError, LocalEntryNotFoundError) as error:
        # a download that is refused may be reported as a file that is not in the cache
        refusal = error.__cause__ if isinstance(error, LocalEntryNotFoundError) else error
        status = getattr(getattr(refusal, "response", None), "status_code", None)
        if status not in (401, 403, 404):
            raise
        kind = FileNotFoundError if status == 404 else PermissionError
        reason = refusal.server_message or "no reason given"
        raise kind(
            f"the Hub refuses {task}: {reason} (status {status}). Check the name of the repository and the "
            "revision; private repositories, and writing, need a token that is allowed to: give token, or "
            "log in with `hf auth login`"
        ) from error
