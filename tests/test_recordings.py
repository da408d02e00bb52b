"""Files that are no trials: what they are is said; continuous recordings are filtered, then cut."""

import gzip
import pickle
import warnings

import mne
import numpy as np
import pytest
import scipy.io

from skeeg.datasets import fetch_eegbci, load_epochs

EVENTS = {"left": "1", "right": "2"}


def make_raw(n_chans=3, seed=0, sfreq=100.0, seconds=40):
    """Noise, a trigger channel with 1 and 2 in turn each 4 s, from 2 s on."""
    data = np.random.default_rng(seed).standard_normal((n_chans + 1, round(seconds * sfreq))) * 1e-5
    data[-1] = 0
    starts = np.arange(round(2 * sfreq), data.shape[1], round(4 * sfreq))
    data[-1, starts] = 1 + np.arange(len(starts)) % 2
    info = mne.create_info(
        [f"E{i}" for i in range(n_chans)] + ["STI 014"], sfreq, ["eeg"] * n_chans + ["stim"]
    )
    return mne.io.RawArray(data, info, verbose="error")


def make_epochs(raw):
    events = mne.find_events(raw, verbose="error")
    return mne.Epochs(raw, events, {"l": 1, "r": 2}, 0, 0.5, baseline=None, preload=True, verbose="error")


def write_brainvision(
    folder, marks=(("Stimulus", "S  1", 200), ("Stimulus", "S  2", 600)), n_times=1000, second="C4"
):
    """A recording as BrainVision's recorders write it: header, markers, samples in 0.1 µV."""
    samples = np.random.default_rng(0).integers(-500, 500, (n_times, 2)).astype("<i2")
    (folder / "rec.eeg").write_bytes(samples.tobytes())
    (folder / "rec.vhdr").write_text(
        "Brain Vision Data Exchange Header File Version 1.0\n[Common Infos]\nCodepage=UTF-8\n"
        f"DataFile=rec.eeg\nMarkerFile=rec.vmrk\nDataFormat=BINARY\nDataOrientation=MULTIPLEXED\n"
        "NumberOfChannels=2\nSamplingInterval=10000\n[Binary Infos]\nBinaryFormat=INT_16\n"
        f"[Channel Infos]\nCh1=C3,,0.1,µV\nCh2={second},,0.1,µV\n",
        encoding="utf-8",
    )
    lines = [f"Mk{i}={kind},{what},{at + 1},1,0" for i, (kind, what, at) in enumerate(marks, start=1)]
    (folder / "rec.vmrk").write_text(
        "Brain Vision Data Exchange Marker File, Version 1.0\n[Common Infos]\nCodepage=UTF-8\n"
        "DataFile=rec.eeg\n[Marker Infos]\n" + "\n".join(lines) + "\n",
        encoding="utf-8",
    )
    return folder / "rec.vhdr", 0.1 * samples.T


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


# What files are -------------------------------------------------------------------------------------------

EDF = b"0".ljust(8) + b" " * 500
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n"
PAGE = "\n<!DOCTYPE html>\n<html><body>404 Not Found</body></html>"


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("x-epo.fif", b"", r"empty \(0 bytes\)"),
        ("x-epo.fif", bytes(2000), "nothing but zeros"),
        ("x-epo.fif", LFS, "a pointer of Git LFS to a file that is not here"),
        ("x.npz", LFS, "a pointer of Git LFS"),
        ("x.edf", LFS, "a pointer of Git LFS"),
        ("x-epo.fif", "/annex/objects/MD5E-s1--2.fif\n", "a pointer of git-annex"),
        ("x-epo.fif", PAGE, r"a web page \(HTML\)"),
        ("x.npz", PAGE, r"a web page \(HTML\)"),
        ("x-epo.fif", "no fif", "no .fif file by its beginning"),
        ("x-epo.fif", gzip.compress(b"no fif" * 9, mtime=0), "truncated"),
        ("x.npz", b"PK\x03\x04" + b"rest", r"an archive \(zip\) that was cut short"),
        ("x.npz", b"rest", "no .npz file by its beginning"),
        ("x.npz", gzip.compress(b"rest", mtime=0), r"compressed \(gzip\): unpack it first"),
        ("x.npz", pickle.dumps({"X": 1}), r"a pickle, which may run code.*mne\.EpochsArray"),
        ("x.pkl", pickle.dumps({"X": 1}), r"a pickle, which may run code.*mne\.EpochsArray"),
        ("x.npz", EDF, r'a continuous recording \(EDF\).*mne\.io\.read_raw\("x\.npz".*mne\.Epochs'),
        (
            "x.edf",
            EDF,
            r'a continuous recording \(EDF\).*mne\.io\.read_raw\("x\.edf".*\.save\("x-epo\.fif"\)',
        ),
        (
            "X.EDF",
            EDF,
            r"a continuous recording \(EDF\).*mne\.Epochs\(raw, \*mne\.events_from_annotations\(raw\)",
        ),
        ("x.bdf", b"\xffBIOSEMI".ljust(300), r"a continuous recording \(BDF\).*mne\.Epochs"),
        ("x.gdf", b"GDF 2.20".ljust(300), r"a continuous recording \(GDF\).*mne\.Epochs"),
        ("x.vhdr", "Brain Vision Data Exchange Header File Version 1.0\n", r"\(BrainVision\).*mne\.Epochs"),
        ("x.vmrk", "Brain Vision Data Exchange Marker File Version 1.0\n", "name its .vhdr file"),
        ("x.eeg", b"\x01\x02\x03", r"a continuous recording.*mne\.Epochs"),
        ("x.cnt", b"Version 3.0", r"a continuous recording \(CNT\).*mne\.Epochs"),
        (
            "x.mat",
            b"MATLAB 7.3 MAT-file".ljust(512),
            r"a file of HDF5.*h5py\.File\(.x\.mat.\).*mne\.EpochsArray",
        ),
        ("x.h5", b"\x89HDF\r\n\x1a\n".ljust(99), r"a file of HDF5.*h5py.*mne\.EpochsArray"),
        ("x.csv", "1,2,3\n", r"a table of text.*pandas\.read_csv\(\"x\.csv\"\).*mne\.EpochsArray"),
        ("x.docx", "?", r"nothing that skeeg knows \(\.docx\)"),
        ("x", "?", r"nothing that skeeg knows \(without ending\)"),
    ],
)
def test_the_error_names_the_file_and_what_it_is(tmp_path, name, content, what):
    write(tmp_path / name, content)
    with pytest.raises(ValueError, match=rf"(?s){name}.* {what}"):
        load_epochs(tmp_path / name)


def test_arrays_folders_and_links_are_told(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2, 3, 4)))
    scipy.io.savemat(tmp_path / "y.mat", {"X": np.zeros((2, 3, 4))})
    (tmp_path / "folder").mkdir()
    for name, what in (
        (
            "x.npy",
            r' is neither .* but a single array.*numpy\.load\("x\.npy"\).*mne\.EpochsArray',
        ),
        ("y.mat", r": lacks \['y'\]; it holds \['X'\]\. A recording of the BCI competitions"),
        (
            "folder",
            r" is neither .* but a folder: name the files in it, such as folder/\*-epo\.fif",
        ),
    ):
        with pytest.raises(ValueError, match=f"{name}{what}"):
            load_epochs(tmp_path / name)
    (tmp_path / "x.npy").rename(tmp_path / "x.npz")
    with pytest.raises(ValueError, match=r"x\.npz: is a single array, without labels"):
        load_epochs(tmp_path / "x.npz")
    try:
        (tmp_path / "link-epo.fif").symlink_to(tmp_path / "nowhere")
    except OSError:
        pytest.skip("no links here")
    with pytest.raises(FileNotFoundError, match=r"link-epo\.fif is a link to a file that is not here"):
        load_epochs(tmp_path / "link-epo.fif")


def test_fif_files_without_trials_are_told_from_each_other(tmp_path):
    raw = make_raw()
    epochs = make_epochs(raw)
    raw.save(tmp_path / "x_raw.fif", verbose="error")
    epochs.average().save(tmp_path / "x-ave.fif", verbose="error")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ica = mne.preprocessing.ICA(2, max_iter=2, random_state=0, verbose="error").fit(
            raw.copy().filter(1, 40)
        )
    ica.save(tmp_path / "x-ica.fif", verbose="error")
    mne.write_cov(tmp_path / "x-cov.fif", mne.compute_covariance(epochs, verbose="error"), verbose="error")
    for name, what in (
        (
            "x_raw.fif",
            r'a continuous recording \(FIF\).*read_raw\("x_raw\.fif".*mne\.Epochs\(raw, mne\.find_events',
        ),
        ("x-ave.fif", r"an average \(Evoked\), not the trials it was made of.*mne\.Epochs"),
        ("x-ica.fif", r"an ICA solution, not a recording.*mne\.Epochs"),
        ("x-cov.fif", "a file of MNE without trials"),
    ):
        with pytest.raises(ValueError, match=f"{name}: is {what}"):
            load_epochs(tmp_path / name)


@pytest.mark.parametrize("name", ["x-epo.fif", "x-epo.fif.gz"])
def test_a_file_cut_anywhere_is_truncated(tmp_path, name):
    epochs = make_epochs(make_raw())
    epochs.save(tmp_path / name, verbose="error")
    content = (tmp_path / name).read_bytes()
    for length in (40, 500, len(content) // 2, len(content) - 100):
        write(tmp_path / name, content[:length])
        with pytest.raises(ValueError, match=f"{name}: is truncated: the file ends in the middle"):
            load_epochs(tmp_path / name)


def test_a_damaged_archive_is_called_so(tmp_path):
    np.savez(tmp_path / "x.npz", X=np.random.default_rng(0).standard_normal((4, 2, 30)), y=list("abab"))
    content = bytearray((tmp_path / "x.npz").read_bytes())
    content[300] ^= 255
    write(tmp_path / "x.npz", bytes(content))
    with pytest.raises(ValueError, match=r"x\.npz: X cannot be read, the file is damaged"):
        load_epochs(tmp_path / "x.npz")


def test_endings_in_capitals_are_read(tmp_path):
    make_epochs(make_raw()).save(tmp_path / "x-epo.fif", verbose="error")
    lower = load_epochs(tmp_path / "x-epo.fif")[0]
    (tmp_path / "x-epo.fif").rename(tmp_path / "X-EPO.FIF")
    np.testing.assert_array_equal(load_epochs(tmp_path / "X-EPO.FIF")[0], lower)
    np.savez(tmp_path / "x.npz", X=lower, y=list("lr" * 5), sfreq=100)
    (tmp_path / "x.npz").rename(tmp_path / "X.NPZ")
    np.testing.assert_array_equal(load_epochs(tmp_path / "X.NPZ")[0], lower)


# Continuous recordings ------------------------------------------------------------------------------------


def test_recordings_are_filtered_as_a_whole_and_cut(tmp_path):
    raw = make_raw()
    raw.save(tmp_path / "sub-3_ses-2_raw.fif", verbose="error")
    X, y, metadata = load_epochs(
        tmp_path / "sub-3_ses-2_raw.fif", events=EVENTS, tmin=0.5, tmax=2, band=(8, 30)
    )
    filtered = 1e6 * raw.copy().filter(8, 30, verbose="error").get_data(picks="eeg")
    expected = [filtered[:, start + 50 : start + 200] for start in range(200, 4000, 400)]
    np.testing.assert_allclose(X, expected, rtol=1e-4, atol=1e-3)
    assert y.tolist() == ["left", "right"] * 5 and X.sfreq == 100.0 and X.ch_names == ("E0", "E1", "E2")
    assert metadata.drop_duplicates().to_numpy().tolist() == [["3", "2", "1"]]
    unfiltered, _, _ = load_epochs(tmp_path / "sub-3_ses-2_raw.fif", events=EVENTS, tmin=0.5, tmax=2)
    np.testing.assert_allclose(
        unfiltered[0], 1e6 * raw.get_data(picks="eeg")[:, 250:400], rtol=1e-4, atol=1e-3
    )


def test_annotations_of_brainvision_go_by_number(tmp_path):
    path, samples = write_brainvision(tmp_path, second="HEOG")
    for names in (("1", "2"), (1, 2), ("S1", "S2"), ("Stimulus/S  1", "Stimulus/S  2")):
        with pytest.warns(UserWarning, match=r"rec\.vhdr: channels \['HEOG'\] are left out: by their names"):
            X, y, metadata = load_epochs(
                path, events=dict(zip(("l", "r"), names, strict=True)), tmin=0, tmax=3
            )
        assert (
            y.tolist() == ["l", "r"] and X.ch_names == ("C3",) and metadata["subject"].tolist() == ["rec"] * 2
        )
        np.testing.assert_allclose(X[:, 0], [samples[0, 200:500], samples[0, 600:900]], rtol=1e-5)


def test_a_label_may_have_several_events(tmp_path):
    make_raw().save(tmp_path / "x_raw.fif", verbose="error")
    y = load_epochs(tmp_path / "x_raw.fif", events={"both": [1, 2]}, tmin=0, tmax=1)[1]
    assert y.tolist() == ["both"] * 10


def test_a_class_that_no_file_holds_is_told(tmp_path):
    make_raw().save(tmp_path / "x_raw.fif", verbose="error")
    with pytest.warns(UserWarning, match=r"trial of \{'feet': 3\}.* only of \['left', 'right'\]"):
        load_epochs(tmp_path / "x_raw.fif", events={**EVENTS, "feet": 3}, tmin=0, tmax=1)


def test_trials_that_run_past_the_end_are_told(tmp_path):
    path, _ = write_brainvision(tmp_path, marks=[("Stimulus", "S  1", 200), ("Stimulus", "S  2", 900)])
    with (
        pytest.warns(UserWarning, match=r"1 of 2 trials are left out: their window runs past an end"),
        pytest.warns(UserWarning, match=r"no file holds a trial of \{'right': '2'\}"),
    ):
        y = load_epochs(path, events=EVENTS, tmin=0, tmax=1.01)[1]
    assert y.tolist() == ["left"]
    assert len(load_epochs(path, events=EVENTS, tmin=0, tmax=1)[1]) == 2


def test_a_recording_shorter_than_its_header_says_is_told(tmp_path):
    path, _ = write_brainvision(tmp_path)
    samples = path.with_suffix(".eeg").read_bytes()
    path.with_suffix(".eeg").write_bytes(samples[: len(samples) // 2])
    with (
        pytest.warns(UserWarning, match=r"rec\.vhdr: .*outside"),
        pytest.warns(UserWarning, match=r"no file holds a trial of \{'right'"),
    ):
        load_epochs(path, events=EVENTS, tmin=0, tmax=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"events": {"l": 5}, "tmin": 0, "tmax": 1},
            r"x_raw\.fif: holds no event of .*it holds 1 \(5\), 2 \(5\)",
        ),
        ({"events": EVENTS, "tmin": 0}, "events need a window: tmin=0 must be less than tmax=None"),
        ({"events": EVENTS, "tmin": 1, "tmax": 1}, "tmin=1 must be less than tmax=1"),
        ({"events": EVENTS, "tmin": 0, "tmax": 0.001}, "holds no sample"),
        (
            {"events": EVENTS, "tmin": 0, "tmax": 1, "band": (4, 50)},
            r"band=\(4, 50\) must be two frequencies",
        ),
        ({"events": {"l": 1, "r": 1}, "tmin": 0, "tmax": 1}, "gives an annotation to two labels, or twice"),
        ({"events": ["l"], "tmin": 0, "tmax": 1}, r"events=\['l'\] must be a dict of label"),
        ({"events": {}, "tmin": 0, "tmax": 1}, r"events=\{\} must be a dict of label"),
        ({"events": {0: "l", 1: "r"}, "tmin": 0, "tmax": 1}, r"labels must be text, such as '0', not \[0"),
        ({"tmax": 1, "band": (4, 38)}, "tmax, band cut continuous recordings into trials: give events too"),
    ],
)
def test_impossible_windows_and_events_are_refused(tmp_path, options, message):
    make_raw().save(tmp_path / "x_raw.fif", verbose="error")
    with pytest.raises(ValueError, match=message):
        load_epochs(tmp_path / "x_raw.fif", **options)


def test_events_are_not_for_trials(tmp_path):
    make_epochs(make_raw()).save(tmp_path / "x-epo.fif", verbose="error")
    np.savez(tmp_path / "x.npz", X=np.ones((2, 2, 9)), y=["a", "b"])
    for name in ("x-epo.fif", "x.npz"):
        with pytest.raises(ValueError, match=rf"{name}: .*events, tmin, tmax and band are for continuous"):
            load_epochs(tmp_path / name, events=EVENTS, tmin=0, tmax=1)


@pytest.mark.parametrize(("name", "content"), [("x.edf", EDF), ("x.gdf", b"GDF 2.20"), ("x.cnt", b"Version")])
def test_recordings_that_cannot_be_read_are_called_damaged(tmp_path, name, content):
    write(tmp_path / name, content)
    with pytest.raises(ValueError, match=f"{name}: cannot be read, the file seems to be damaged"):
        load_epochs(tmp_path / name, events=EVENTS, tmin=0, tmax=1)


def test_physionets_recordings_are_those_that_fetch_eegbci_cuts():
    folder = mne.get_config("MNE_DATASETS_EEGBCI_PATH")
    if folder is None:
        pytest.skip("MNE_DATASETS_EEGBCI_PATH is not set: no recordings")
    path = mne.datasets.eegbci.load_data(1, 4, path=folder, update_path=False, verbose="error")[0]
    events = {"left_hand": "T1", "right_hand": "T2"}
    X, y, metadata = load_epochs(path, events=events, tmin=0, tmax=3, band=(4, 38))
    expected, y_expected, _ = fetch_eegbci(1, runs=4, band=(4, 38))
    np.testing.assert_array_equal(X, expected)
    assert y.tolist() == y_expected.tolist() and X.ch_names[0] == "Fc5."
    assert metadata.drop_duplicates().to_numpy().tolist() == [["S001", "1", "04"]]
