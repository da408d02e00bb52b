"""Data sets, and the one way in for data: ``as_trials`` and ``EEGArray``."""

import copy
import pickle
import tomllib
from pathlib import Path

import mne
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from scipy.signal import welch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import _safe_indexing

import skeeg
from skeeg import EEGArray, find_faults
from skeeg.datasets import fetch_eegbci, load_motor_imagery, make_motor_imagery
from skeeg.trials import as_trials, epochs_labels

rng = np.random.default_rng(0)


def make_epochs(n_trials=10, seed=0, names=("C3", "Cz", "C4", "EOG"), types=("eeg", "eeg", "eeg", "eog")):
    info = mne.create_info(list(names), 100.0, list(types))
    data = np.random.default_rng(seed).standard_normal((n_trials, len(names), 50)) * 1e-5
    events = np.column_stack([np.arange(n_trials), np.zeros(n_trials, int), np.arange(n_trials) % 2 + 1])
    return mne.EpochsArray(data, info, events, event_id={"left/hand": 1, "feet": 2}, verbose="error")


@pytest.fixture
def remembering():
    data = rng.standard_normal((6, 3, 20)).astype(np.float32)
    return EEGArray(data, 100, ["C3", "Cz", "C4"], list("abcdef"))


def known(X):
    return X.sfreq, X.ch_names, X.labels.tolist()


@pytest.mark.parametrize(
    "same",
    [
        lambda X: pickle.loads(pickle.dumps(X)),
        copy.copy,
        copy.deepcopy,
        np.ndarray.copy,
        lambda X: X.copy(),
        lambda X: X.astype(np.float64),
        lambda X: X * 1e6 - X.mean(axis=2, keepdims=True),
        lambda X: 1.0 + X,
        lambda X: X[...],
        lambda X: X[:, :, 5:15],
        lambda X: _safe_indexing(X, np.arange(6)),
    ],
)
def test_what_cannot_move_a_trial_keeps_what_is_known(remembering, same):
    if same is np.ndarray.copy:  # NumPy's own method: forgets, but does not lie
        assert same(remembering).labels is None
    else:
        assert known(same(remembering)) == (100.0, ("C3", "Cz", "C4"), list("abcdef"))


def test_a_difference_of_channels_is_neither_of_them(remembering):
    bipolar = remembering[:, [0]] - remembering[:, [2]]
    assert (bipolar.ch_names, bipolar.sfreq, bipolar.labels.tolist()) == (None, 100.0, list("abcdef"))
    for same in (remembering - remembering[:, [1]], remembering + np.zeros_like(remembering)):
        assert known(same) == (100.0, ("C3", "Cz", "C4"), list("abcdef"))


def test_in_place_arithmetic_keeps_the_array_and_changes_its_values(remembering):
    X, before = remembering, np.array(remembering)
    X *= 2
    assert X is remembering and known(X)[0] == 100.0
    np.testing.assert_array_equal(np.asarray(X), 2 * before)


def test_indexing_moves_labels_and_channel_names_along(remembering):
    X = remembering
    for key in ([4, 1], np.array([False, True, False, False, True, False]), slice(None, None, -2)):
        assert X[key].labels.tolist() == X.labels[key].tolist()
        np.testing.assert_array_equal(np.asarray(X[key]), np.asarray(X)[key])
    assert X[:, [2, 0]].ch_names == ("C4", "C3")
    assert X[..., 3:].sfreq == 100.0


@pytest.mark.parametrize(
    "changed",
    [
        lambda X: X.take([1, 0, 2, 3, 4, 5], axis=0),
        lambda X: X.transpose(1, 0, 2),
        lambda X: np.concatenate([X, X]),
        lambda X: X[:, :, ::2],
        lambda X: X[0],
        lambda X: X[:, None],
        lambda X: X.mean(axis=0),
        lambda X: X[np.ix_([0, 1], [1, 2])],
    ],
)
def test_what_could_move_a_trial_forgets(remembering, changed):
    result = changed(remembering)
    assert getattr(result, "labels", None) is None
    assert getattr(result, "sfreq", None) is None
    assert getattr(result, "ch_names", None) is None


def test_the_data_travel_outside_the_pickle_so_that_workers_can_share_them(remembering):
    buffers = []
    pickled = pickle.dumps(remembering, protocol=5, buffer_callback=buffers.append)
    assert remembering.nbytes in [buffer.raw().nbytes for buffer in buffers]
    assert known(pickle.loads(pickled, buffers=buffers)) == known(remembering)


def test_wrong_names_and_labels_are_refused():
    with pytest.raises(ValueError, match="2 ch_names do not fit data of shape"):
        EEGArray(np.zeros((4, 3, 10)), ch_names=["C3", "C4"])
    with pytest.raises(ValueError, match="5 labels do not fit"):
        EEGArray(np.zeros((4, 3, 10)), labels=np.arange(5))


def test_epochs_become_microvolts_of_good_eeg_channels_with_their_labels():
    epochs = make_epochs()
    epochs.info["bads"] = ["Cz"]
    trials = as_trials(epochs)
    np.testing.assert_allclose(trials.data, 1e6 * epochs.get_data()[:, [0, 2]], rtol=1e-6)
    assert trials.data.dtype == np.float32
    assert (trials.sfreq, trials.ch_names) == (100.0, ("C3", "C4"))
    assert trials.labels.tolist() == ["left/hand", "feet"] * 5
    assert epochs_labels(epochs).tolist() == trials.labels.tolist()


def test_epochs_not_loaded_yet_drop_their_bad_ones_and_stay_as_they_are():
    data = np.zeros((1, 500))
    data[0, 205:210] = 1e-3
    raw = mne.io.RawArray(data, mne.create_info(["C3"], 100.0, "eeg"), verbose="error")
    events = np.array([[0, 0, 1], [200, 0, 2], [400, 0, 1]])
    epochs = mne.Epochs(
        raw,
        events,
        {"a": 1, "b": 2},
        0,
        0.5,
        baseline=None,
        reject={"eeg": 5e-4},
        preload=False,
        verbose="error",
    )
    trials = as_trials(epochs)
    assert trials.labels.tolist() == ["a", "a"] and len(trials.data) == 2
    assert not epochs.preload


def test_scikit_learn_splits_of_epochs_are_epochs_again():
    epochs = make_epochs()
    part = _safe_indexing(epochs, np.array([7, 2, 5]))  # a list: Epochs have no shape
    trials = as_trials(part)
    np.testing.assert_array_equal(trials.data, as_trials(epochs).data[[7, 2, 5]])
    assert trials.labels.tolist() == ["feet", "left/hand", "feet"]
    y = epochs_labels(epochs)
    flatten = FunctionTransformer(lambda X: as_trials(X).data.reshape(len(X), -1))
    scores = cross_val_score(make_pipeline(flatten, LinearDiscriminantAnalysis()), epochs, y, cv=2)
    expected = cross_val_score(LinearDiscriminantAnalysis(), as_trials(epochs).data.reshape(10, -1), y, cv=2)
    np.testing.assert_array_equal(scores, expected)


def test_epochs_that_cannot_be_one_set_or_have_no_eeg_are_refused():
    other = make_epochs(names=("C3", "Pz", "C4", "EOG"))
    with pytest.raises(ValueError, match="differ in channel names"):
        as_trials([make_epochs(), other])
    with pytest.raises(ValueError, match=r"no good EEG channel: types \['eog'\]"):
        as_trials(make_epochs(names=["EOG"], types=["eog"]))


def test_arrays_of_the_right_kind_are_not_copied():
    X = rng.standard_normal((4, 3, 10)).astype(np.float32)
    assert np.shares_memory(as_trials(X).data, X)
    assert np.shares_memory(as_trials(torch.from_numpy(X)).data, X)
    assert np.shares_memory(as_trials(EEGArray(X, 100)).data, X)
    fortran = np.asfortranarray(X)
    np.testing.assert_array_equal(as_trials(fortran).data, X)
    assert as_trials(fortran).data.flags.c_contiguous
    assert as_trials(X.astype(np.float64), dtype=[np.float64, np.float32]).data.dtype == np.float64


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int16])
def test_tensors_of_any_type(dtype):
    X = torch.arange(24).reshape(2, 3, 4).to(dtype).requires_grad_(dtype.is_floating_point)
    np.testing.assert_array_equal(as_trials(X).data, np.arange(24).reshape(2, 3, 4))


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (np.zeros(3), ValueError, "X is 1-dimensional.*Reshape your data"),
        (np.zeros((3, 4)), ValueError, r"X is 2-dimensional, of shape \(3, 4\): expected"),
        (np.zeros((3, 4, 5, 6)), ValueError, "X is 4-dimensional"),
        (None, ValueError, "X is 0-dimensional"),
        (np.zeros((0, 3, 4)), ValueError, r"0 sample\(s\) .* while a minimum of 1 is required"),
        (np.zeros((2, 0, 4)), ValueError, r"2 trials of 0 channels x 4 samples"),
        (np.zeros((2, 3, 0)), ValueError, r"0 feature\(s\) .* while a minimum of 1 .*3 channels x 0 samples"),
        (np.zeros((2, 3, 4)) * 1j, ValueError, "Complex data not supported"),
        (np.array([[["a"]]]), ValueError, "X holds text"),
        ("epochs.fif", ValueError, "X holds text"),
        (np.array([[[{}]]]), TypeError, "argument must be .* string.* number"),
        ([np.zeros((2, 3)), np.zeros((2, 4))], ValueError, "list of trials of unequal shapes"),
        ([[[1.0, 2.0], [3.0]]], ValueError, "list of trials of unequal shapes"),
        (scipy.sparse.csr_array(np.eye(3)), TypeError, "Sparse data was passed"),
    ],
)
def test_what_is_not_trials_is_refused(X, error, message):
    with pytest.raises(error, match=message):
        as_trials(X)


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinity")])
def test_values_that_are_not_finite_are_located(value, word):
    X = np.zeros((5, 2, 3))
    X[3, 1, 2] = value
    with pytest.raises(ValueError, match=f"Input X contains {word}.*1 of 5 trials.*first at index 3"):
        as_trials(X)


def test_recordings_and_object_arrays_of_unequal_trials_are_refused():
    raw = mne.io.RawArray(np.zeros((1, 10)), mne.create_info(1, 100.0, "eeg"), verbose="error")
    with pytest.raises(TypeError, match=r"mne RawArray: cut the recording into trials with mne\.Epochs"):
        as_trials(raw)
    unequal = np.empty(2, dtype=object)
    unequal[:] = [np.zeros((2, 3)), np.zeros((2, 4))]
    with pytest.raises(ValueError, match="unequal shapes"):
        as_trials(unequal)


# Simulated data ------------------------------------------------------------------------------------------


def test_simulation_has_the_shape_and_balance_asked_for():
    X, y, metadata = make_motor_imagery(
        2, 26, n_classes=4, n_chans=5, sfreq=100, duration=1.5, n_sessions=2, n_runs=3, random_state=0
    )
    assert X.shape == (52, 5, 150) and X.dtype == np.float32 and X.sfreq == 100.0
    assert set(X.ch_names) == {"C3", "C4", "Cz", "FC3", "FC4"}
    assert set(y) == {"left_hand", "right_hand", "feet", "tongue"}
    assert metadata.columns.tolist() == ["subject", "session", "run"]
    assert metadata.drop_duplicates().shape[0] == 2 * 2 * 3
    counts = pd.crosstab([metadata.subject, metadata.session], y).to_numpy()
    assert counts.max() - counts.min() <= 1


def test_simulation_is_reproducible_and_subjects_do_not_depend_on_their_number():
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    X, y, _ = make_motor_imagery(1, 10, n_chans=3, random_state=3)
    again, y_again, _ = make_motor_imagery(2, 10, n_chans=3, random_state=3)
    np.testing.assert_array_equal(X, again[:10])
    np.testing.assert_array_equal(y, y_again[:10])
    assert not np.array_equal(again[:10], again[10:])
    assert not np.array_equal(X, make_motor_imagery(1, 10, n_chans=3, random_state=4)[0])
    np.testing.assert_array_equal(state, np.random.get_state()[1])  # noqa: NPY002


def power(X, low, high):
    frequencies, density = welch(np.asarray(X), X.sfreq, nperseg=128)
    return density[..., (frequencies >= low) & (frequencies <= high)].mean(axis=-1)


def test_imagery_suppresses_the_rhythm_contralaterally_after_the_cue():
    X, y, _ = make_motor_imagery(4, 160, n_classes=3, n_chans=3, difficulty=0.0, random_state=0)
    late = np.log(power(X[:, :, 125:], 8, 30))
    mean = {name: late[y == name].mean(axis=0) for name in np.unique(y)}
    c3, cz, c4 = range(3)
    assert mean["left_hand"][c4] - mean["right_hand"][c4] < -0.2
    assert mean["right_hand"][c3] - mean["left_hand"][c3] < -0.2
    assert mean["feet"][cz] - (mean["left_hand"][cz] + mean["right_hand"][cz]) / 2 < -0.2
    before = np.log(X[:, :, :25].std(axis=2))
    assert abs(before[y == "left_hand", c4].mean() - before[y == "right_hand", c4].mean()) < 0.1


def test_background_falls_with_frequency_and_is_smooth_over_the_scalp():
    X, _, _ = make_motor_imagery(3, 40, n_chans=22, sfreq=250, difficulty=1.0, random_state=0)
    low, middle, high = (np.median(power(X, *band)) for band in ((2, 5), (30, 45), (70, 100)))
    assert low > 5 * middle > 10 * high
    line = np.median(power(X, 49, 51)) / np.median(power(X, 54, 60))
    assert line > 1.5
    names = list(X.ch_names)
    correlation = np.mean([np.corrcoef(trial) for trial in np.asarray(X)], axis=0)
    assert (
        correlation[names.index("C3"), names.index("C1")] > correlation[names.index("C3"), names.index("C6")]
    )
    assert 3 < np.median(X.std(axis=2)) < 50  # µV


@pytest.mark.parametrize(("difficulty", "low", "high"), [(0.0, 0.8, 1.0), (0.5, 0.6, 0.95), (1.0, 0.3, 0.65)])
def test_difficulty_decides_how_well_band_power_tells_the_hands_apart(difficulty, low, high):
    X, y, metadata = make_motor_imagery(3, 80, n_chans=3, difficulty=difficulty, random_state=1)
    late = X[:, :, 62:]
    features = np.log(np.concatenate([power(late, 8, 13), power(late, 16, 26)], axis=1))
    scores = [
        cross_val_score(LinearDiscriminantAnalysis(), features[rows], y[rows], cv=5).mean()
        for rows in (np.flatnonzero(metadata.subject == subject) for subject in (1, 2, 3))
    ]
    assert low <= np.mean(scores) <= high
    if difficulty == 0.0:  # what is learned from some holds for others
        across = cross_val_score(
            LinearDiscriminantAnalysis(), features, y, groups=metadata.subject, cv=LeaveOneGroupOut()
        )
        assert np.mean(across) > 0.6


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_classes": 5}, "n_classes.*range"),
        ({"n_chans": 65}, "n_chans.*range"),
        ({"difficulty": 1.5}, "difficulty"),
        ({"sfreq": 10}, "sfreq"),
        ({"n_trials": 3, "n_classes": 4}, "n_trials=3 are too few .* give at least 8"),
    ],
)
def test_simulation_refuses_impossible_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        make_motor_imagery(**parameters)


# Recordings ----------------------------------------------------------------------------------------------


def recordings(subject, runs):
    """Skip where the recordings are not on this machine: tests never download."""
    folder = mne.get_config("MNE_DATASETS_EEGBCI_PATH")
    if folder is None:
        pytest.skip("MNE_DATASETS_EEGBCI_PATH is not set: no recordings")
    for run in runs:
        name = f"S{subject:03d}/S{subject:03d}R{run:02d}.edf"
        if not any(Path(folder).glob(f"*/files/*/*/{name}")):
            pytest.skip(f"{name} is not in MNE_DATASETS_EEGBCI_PATH")


@pytest.mark.parametrize("subjects", [1, 3, 17, [1, 3, 17, 20]])
def test_no_fault_is_found_in_eegbci(subjects):
    for subject in np.atleast_1d(subjects):
        recordings(subject, (4,))
    X, _, _ = fetch_eegbci(subjects, runs=4)
    assert str(find_faults(X)) == ""


def test_eegbci_gives_fists_in_microvolts():
    recordings(1, (4, 8, 12))
    X, y, metadata = fetch_eegbci(1)
    assert X.shape == (45, 64, 480) and X.dtype == np.float32 and X.sfreq == 160.0
    assert {"C3", "Cz", "C4", "Fp1", "Iz"} < set(X.ch_names)
    assert 5 < np.median(X.std(axis=2)) < 200
    assert set(y) == {"left_hand", "right_hand"}
    assert metadata.value_counts().to_dict() == {(1, 1, 4): 15, (1, 1, 8): 15, (1, 1, 12): 15}


def test_eegbci_windows_channels_and_classes_are_those_asked_for():
    recordings(1, (6, 10, 14))
    whole, y, metadata = fetch_eegbci(1, classes=["hands", "feet"], channels=["Cz", "C3"])
    assert set(y) == {"hands", "feet"} and set(metadata.run) == {6, 10, 14}
    part, y_feet, _ = fetch_eegbci(1, classes=["feet"], channels=["C3"], tmin=1, tmax=2)
    np.testing.assert_array_equal(np.asarray(part)[:, 0], np.asarray(whole)[y == "feet", 1, 160:320])
    assert set(y_feet) == {"feet"}
    slow, _, _ = fetch_eegbci(1, runs=6, classes=["feet"], channels=["C3"], sfreq=80)
    assert slow.shape[2] == 240 and slow.sfreq == 80.0
    fast = np.asarray(whole)[(y == "feet") & (metadata.run == 6).to_numpy(), 1]
    spectrum = [np.abs(np.fft.rfft(data * np.hanning(data.shape[1])))[:, 3:60] for data in (slow[:, 0], fast)]
    np.testing.assert_allclose(2 * spectrum[0], spectrum[1], rtol=0.1, atol=0.02 * spectrum[1].max())


def test_eegbci_names_what_does_not_exist():
    recordings(1, (4,))
    with pytest.raises(ValueError, match=r"channels=\['C99'\] were not recorded"):
        fetch_eegbci(1, runs=4, channels=["C99"])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"subjects": 110}, "subjects"),
        ({"subjects": [1, 0]}, r"subjects=\[0\] do not exist"),
        ({"subjects": []}, "subjects is empty"),
        ({"subjects": 1, "runs": [1]}, r"runs=\[1\] do not exist"),
        ({"subjects": 1, "classes": ["rest"]}, r"classes=\['rest'\] were not recorded"),
        ({"subjects": 1, "classes": ["feet"], "runs": 4}, r"runs=\[4\] hold no trials of \['feet'\]"),
        ({"subjects": 1, "tmin": 2, "tmax": 1}, "holds no sample"),
        ({"subjects": 1, "band": (4, 80)}, r"band=\(4, 80\) must be two frequencies in Hz.* < 80"),
        ({"subjects": 1, "band": (0, 30)}, "must be two frequencies"),
        ({"subjects": 1, "band": (8, 8)}, "must be two frequencies"),
        ({"subjects": 1, "band": (8,)}, "must be two frequencies"),
        ({"subjects": 1, "band": ("low", "high")}, "must be two frequencies"),
    ],
)
def test_eegbci_refuses_impossible_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        fetch_eegbci(**parameters)


def test_eegbci_resamples_a_recording_of_another_rate(tmp_path, monkeypatch):
    """Subject 88 was recorded with 128 Hz; a stand-in of that rate takes its place."""
    sfreq, n_chans = 128.0, 2
    time = np.arange(int(12 * sfreq)) / sfreq
    info = mne.create_info(["C3..", "Cz.."], sfreq, "eeg")
    raw = mne.io.RawArray(np.tile(20e-6 * np.sin(2 * np.pi * 10 * time), (n_chans, 1)), info, verbose="error")
    raw.set_annotations(mne.Annotations([1.0, 5.0, 10.0], [1.9] * 3, ["T1", "T2", "T1"]))
    monkeypatch.setattr(mne.datasets.eegbci, "load_data", lambda *args, **kwargs: [tmp_path])
    monkeypatch.setattr(mne.io, "read_raw_edf", lambda *args, **kwargs: raw.copy())
    X, y, metadata = fetch_eegbci(88, runs=4)
    assert X.shape == (2, 2, 480)  # the third window runs past the end
    assert y.tolist() == ["left_hand", "right_hand"] and metadata.run.tolist() == [4, 4]
    expected = 20 * np.sin(2 * np.pi * 10 * (1 + np.arange(480) / 160))
    np.testing.assert_allclose(np.asarray(X)[0, 0], expected, atol=0.05)


def test_eegbci_says_where_it_looked_when_a_recording_cannot_be_had(monkeypatch):
    def offline(*args, **kwargs):
        raise ConnectionError("no network")

    monkeypatch.setattr(mne.datasets.eegbci, "load_data", offline)
    with pytest.raises(FileNotFoundError, match=r"subject 7, run 4 .*no network.*MNE_DATASETS_EEGBCI_PATH"):
        fetch_eegbci(7)


def test_eegbci_filters_the_recording_before_it_is_cut():
    recordings(1, (4,))
    X, _, _ = fetch_eegbci(1, runs=4, channels=["C3"], band=(4, 38))
    raw = mne.io.read_raw_edf(mne.datasets.eegbci.load_data(1, 4, update_path=False)[0], preload=True)
    onsets = [mark["onset"] for mark in raw.annotations if mark["description"] != "T0"]
    filtered = 1e6 * raw.filter(4, 38, picks=["C3.."]).get_data(picks=["C3.."])[0]
    expected = [filtered[round(160 * onset) :][:480] for onset in onsets]
    np.testing.assert_allclose(np.asarray(X)[:, 0], expected, rtol=1e-5, atol=1e-4)


# The sample ----------------------------------------------------------------------------------------------


def test_the_sample_is_ten_people_with_their_runs_and_classes():
    X, y, metadata = load_motor_imagery()
    assert X.shape == (450, 21, 656) and X.dtype == np.float32 and X.sfreq == 160.0
    assert X.ch_names[:7] == ("FC5", "FC3", "FC1", "FCz", "FC2", "FC4", "FC6")
    assert [name[0] for name in X.ch_names] == ["F"] * 7 + ["C"] * 14 and X.ch_names[-1] == "CP6"
    expected = {(s, 1, run): 15 for s in range(1, 11) for run in (4, 8, 12)}
    assert metadata.value_counts(sort=False).to_dict() == expected
    per_person = pd.crosstab(metadata["subject"], y)
    assert per_person.sum().to_dict() == {"left_hand": 230, "right_hand": 220}
    assert per_person.to_numpy().min() >= 21
    deviations = X.std(axis=2)  # µV
    assert 10 < np.median(deviations) < 30 and deviations.min() > 2 and deviations.max() < 100
    assert np.abs(X).max() < 300
    np.testing.assert_array_equal(np.asarray(X) % 0.25, 0)


def test_the_sample_holds_4_to_38_hz():
    X, _, _ = load_motor_imagery(subjects=range(1, 11, 3))
    frequencies, density = welch(np.asarray(X), X.sfreq, nperseg=320)
    share = density.mean(axis=(0, 1)) / density.mean(axis=(0, 1)).sum()
    assert share[(frequencies < 3) | (frequencies > 48)].sum() < 0.01
    assert share[(frequencies >= 8) & (frequencies <= 30)].sum() > 0.4


def test_people_of_the_sample_come_in_the_order_asked_for():
    X, y, metadata = load_motor_imagery()
    some, y_some, metadata_some = load_motor_imagery(subjects=[7, 2])
    rows = [*range(270, 315), *range(45, 90)]
    np.testing.assert_array_equal(some, X[rows])
    np.testing.assert_array_equal(y_some, y[rows])
    assert metadata_some["subject"].tolist() == [7] * 45 + [2] * 45 == metadata["subject"][rows].tolist()
    assert metadata_some.index.tolist() == list(range(90))
    np.testing.assert_array_equal(load_motor_imagery(subjects=10)[0], X[405:])


@pytest.mark.parametrize("subjects", [0, 11, [], [3, 3], "1"])
def test_the_sample_has_no_other_people(subjects):
    with pytest.raises(ValueError, match="subjects"):
        load_motor_imagery(subjects)


def test_the_sample_is_the_recordings_to_its_resolution():
    for subject in (1, 7):
        recordings(subject, (4, 8, 12))
    X, y, metadata = load_motor_imagery([1, 7])
    original, y_original, metadata_original = fetch_eegbci(
        [1, 7], channels=X.ch_names, tmax=4.1, band=(4, 38)
    )
    np.testing.assert_allclose(X, original, rtol=0, atol=0.1251)
    np.testing.assert_array_equal(y, y_original)
    pd.testing.assert_frame_equal(metadata, metadata_original)


def test_the_sample_says_whose_it_is_and_goes_into_the_wheel():
    folder = Path(skeeg.__file__).parent
    attribution = (folder / "datasets" / "data" / "README.md").read_text(encoding="utf-8")
    for words in ("Open Data Commons Attribution License 1.0", "Schalk", "Goldberger", "eegmmidb/1.0.0"):
        assert words in attribution
    assert 1e6 < (folder / "datasets" / "data" / "motor_imagery.npz").stat().st_size < 8e6
    # A wheel cannot be built offline: what is no code must be named in pyproject.toml.
    project = tomllib.loads((folder.parent / "pyproject.toml").read_text(encoding="utf-8"))
    named = {
        path
        for package, patterns in project["tool"]["setuptools"]["package-data"].items()
        for pattern in patterns
        for path in folder.parent.joinpath(*package.split(".")).glob(pattern)
    }
    others = {path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert others == named


@pytest.mark.parametrize("wrong", [{"sfreq": -1}, {"ch_names": ["C3", "C3", "C4"]}])
def test_wrong_descriptions_of_an_array(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        EEGArray(np.zeros((2, 3, 50)), **wrong)


def test_a_sampling_rate_is_a_number():
    with pytest.raises(ValueError, match="sfreq='100' must be a positive number of Hz"):
        EEGArray(np.zeros((2, 3, 4)), sfreq="100")
    for rate in (np.array(100), np.float32(100), torch.tensor(100)):
        assert EEGArray(np.zeros((2, 3, 4)), sfreq=rate).sfreq == 100.0


def test_epochs_that_were_all_dropped_say_so():
    epochs = make_epochs().drop(list(range(10)), verbose="error")
    with pytest.raises(ValueError, match=r"0 trials of .*drop_log says why"):
        as_trials(epochs)
