"""Files of weights: written whole or not at all, fetched from a directory or from the Hugging Face Hub."""

from __future__ import annotations

import os
import tempfile
import uuid
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
        When the directory does not hold the file, or ``source`` is neither a directory nor the name of a
        repository.
    ImportError
        When the file has to be downloaded and huggingface_hub is missing.
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
    return huggingface_hub().hf_hub_download(
        source, name, revision=revision, token=token, cache_dir=cache_dir
    )


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
    """
    api = huggingface_hub().HfApi(token=token)
    repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            Path(folder, name).write_bytes(data)
        commit = api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message=commit_message)
    return commit.commit_url


def huggingface_hub():
    """Import huggingface_hub, or say how to install it."""
    try:
        import huggingface_hub
    except ImportError as error:
        raise ImportError(
            "the Hugging Face Hub needs huggingface_hub: pip install 'skeeg[hub]'. Saving to and loading "
            "from local files works without it"
        ) from error
    return huggingface_hub
