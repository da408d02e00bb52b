"""What a file is, told from its first bytes, and how trials are made of it."""

from __future__ import annotations

import gzip
import os
import struct
import zipfile
from contextlib import contextmanager
from pathlib import Path

# Endings of recordings that MNE reads, and what they are.
RECORDINGS = {
    ".edf": "a continuous recording (EDF)",
    ".bdf": "a continuous recording (BDF)",
    ".gdf": "a continuous recording (GDF)",
    ".vhdr": "the header of a continuous recording (BrainVision)",
    ".set": "a data set of EEGLAB",
    ".cnt": "a continuous recording (CNT)",
    ".mff": "a continuous recording (EGI)",
    ".eeg": "a continuous recording",
    ".fif": "a continuous recording (FIF)",
}
_BEGINNINGS = (
    (
        b"version https://git-lfs",
        "a pointer of Git LFS to a file that is not here: `git lfs pull` fetches it",
    ),
    (b"/annex/objects/", "a pointer of git-annex to a file that is not here: `git annex get` fetches it"),
    (b"<!doctype html", "a web page (HTML), as a failed download leaves it: download the file again"),
    (b"<html", "a web page (HTML), as a failed download leaves it: download the file again"),
    (b"<?xml", "a page of XML, as a failed download leaves it: download the file again"),
    (b"\x93numpy", ".npy"),
    (b"pk\x03\x04", ".npz"),
    (b"matlab 7.3", ".h5"),
    (b"matlab ", ".mat"),
    (b"\x89hdf\r\n\x1a\n", ".h5"),
    (b"0       ", ".edf"),
    (b"\xffbiosemi", ".bdf"),
    (b"gdf ", ".gdf"),
    (b"brain vision data exchange header", ".vhdr"),
    (b"brain vision data exchange marker", ".vmrk"),
    (b"\x00\x00\x00\x64\x00\x00\x00\x1f", ".fif"),
    (b"\x80\x02", ".pkl"),
    (b"\x80\x03", ".pkl"),
    (b"\x80\x04", ".pkl"),
    (b"\x80\x05", ".pkl"),
)
_KNOWN_BEGINNING = (".edf", ".bdf", ".gdf", ".vhdr", ".fif", ".npy", ".npz")
_READ_ARRAY = {
    ".npy": ("a single array, without labels", 'numpy.load("{name}")'),
    ".mat": ("a file of MATLAB", 'scipy.io.loadmat("{name}")["X"]'),
    ".h5": ("a file of HDF5, such as MATLAB 7.3 writes", 'numpy.array(h5py.File("{name}")["X"])'),
    ".csv": ("a table of text", 'pandas.read_csv("{name}").to_numpy().reshape(n_trials, n_chans, n_times)'),
    ".pkl": ("a pickle, which may run code when it is opened", 'pandas.read_pickle("{name}")'),
}
_ALIKE = {".hdf5": ".h5", ".tsv": ".csv", ".txt": ".csv", ".pickle": ".pkl", ".joblib": ".pkl"}
_TAG, _BLOCK_START = struct.Struct(">4i"), 104  # of FIF files: kind, type, size, position of the next one
_BLOCKS = {373: "epochs", 374: "ica", 104: "evoked", 102: "raw"}
_FIF = {
    "raw": RECORDINGS[".fif"],
    "evoked": "an average (Evoked), not the trials it was made of",
    "ica": "an ICA solution, not a recording",
}


@contextmanager
def saying_what_it_is(path, expected):
    """Turn whatever a reader raises into an error that tells what the file is.

    Parameters
    ----------
    path : path-like
        The file.
    expected : str
        What `content_of` tells of files that the reader reads.
    """
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # of damaged files they raise a dozen kinds, none of which says so
        if content_of(path) == expected:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            told = f"cannot be read, the file seems to be damaged ({reason})"
        else:
            told = f"is {kind_of(path)}"
        raise ValueError(told) from error


def content_of(path):
    """Tell what a file holds by its beginning.

    Parameters
    ----------
    path : path-like
        A file or folder.

    Returns
    -------
    str
        An ending such as ".edf"; of FIF files what MNE calls them ("raw", "epochs", "evoked", ...); else
        words.
    """
    path = Path(path)
    ending = ending_of(path)
    if path.is_dir():
        return ending if ending in RECORDINGS else "a folder: name the files in it, such as folder/*-epo.fif"
    with open(path, "rb") as file:
        start = file.read(512)
    if not start.strip(b"\0"):
        return "empty (0 bytes)" if not start else "nothing but zeros, as a copy that was cut short leaves it"
    if start[:2] == b"\x1f\x8b":
        return _content_of_fif(path) if ending == ".fif" else "compressed (gzip): unpack it first"
    start = start.lower().lstrip(b"\xef\xbb\xbf\r\n\t")
    found = next((what for mark, what in _BEGINNINGS if start.startswith(mark)), None)
    if found is None:
        return (
            f"no {ending} file by its beginning" if ending in _KNOWN_BEGINNING else _ALIKE.get(ending, ending)
        )
    if found == ".fif":
        return _content_of_fif(path)
    if found == ".npz" and not zipfile.is_zipfile(path):
        return "an archive (zip) that was cut short"
    return ending if ending == ".set" and found in (".mat", ".h5") else found


def kind_of(path):
    """Tell what a file is that was not read as trials, and how to make them of it.

    Parameters
    ----------
    path : path-like
        A file or folder.

    Returns
    -------
    str
        What it is, and the lines of Python that write trials to a file.
    """
    path, content = Path(path), content_of(path)
    target = f"{path.name.removesuffix('.gz').removesuffix(path.suffix)}-epo.fif"
    if content in _READ_ARRAY:
        told, read = _READ_ARRAY[content]
        return (
            f"{told}. Trials (n_trials, n_chans, n_times) in µV with their labels become Epochs by "
            f"X = {read.format(name=path.name)}; mne.EpochsArray(1e-6 * X, mne.create_info(ch_names, sfreq, "
            f'"eeg"), events, event_id={{"left": 1, "right": 2}}).save("{target}")'
        )
    if content in RECORDINGS or content in _FIF:
        continuous = content in RECORDINGS or content == "raw"
        how = "Make Epochs of the recording"
        if continuous:
            how = (
                "Cut it by events, tmin, tmax (--events left=1,right=2 --tmin 0.5 --tmax 3.5), or make Epochs"
            )
        of = path.name if continuous else "x_raw.fif"
        find = "mne.find_events(raw)" if content in _FIF else "*mne.events_from_annotations(raw)"
        return (
            f"{RECORDINGS.get(content) or _FIF[content]}. {how}: "
            f'raw = mne.io.read_raw("{of}", preload=True).filter(4, 38); '
            f'mne.Epochs(raw, {find}, tmin=0.5, tmax=3.5, baseline=None).save("{target}")'
        )
    if content == "epochs":
        return "a file of trials: events, tmin, tmax and band are for continuous recordings"
    if content == ".vmrk":
        return "the markers of a BrainVision recording: name its .vhdr file"
    if content == ".npz":
        return "an archive (zip)"
    return (
        f"nothing that skeeg knows ({content or 'without ending'})"
        if content in ("", path.suffix.lower())
        else content
    )


def ending_of(path):
    """Get the ending of a file's name in lower case; ".fif" of ".fif.gz"."""
    name = Path(path).name.lower().removesuffix(".gz")
    return os.path.splitext(name)[1]


def _content_of_fif(path):
    """Go from tag to tag: blocks tell what is inside, and a whole file's last tag that none follows."""
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    blocks = set()
    try:
        with opened(path, "rb") as file:
            while True:
                kind, _, size, following = _TAG.unpack(file.read(_TAG.size))
                start = file.tell()
                if kind == _BLOCK_START:
                    blocks |= set(struct.unpack(">i", file.read(4)))
                if following < 0:
                    break
                file.seek(following or start + size)
    except (struct.error, EOFError, OSError, ValueError):
        return "truncated: the file ends in the middle, as a download or copy that was cut short leaves it"
    return next((what for block, what in _BLOCKS.items() if block in blocks), "a file of MNE without trials")
