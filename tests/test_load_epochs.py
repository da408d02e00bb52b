"""A user's own trials: what `load_epochs` reads, what it makes of names, and what it says."""

import warnings

import mne
import numpy as np
import pandas as pd
import pytest
import scipy.io
from sklearn.dummy import DummyClassifier

from skeeg.datasets import duplicate_trials, fetch_eegbci, load_epochs, one_person_as_several
from skeeg.datasets.origin import origin_of_name
from skeeg.evaluation import compare

rng = np.random.default_rng(0)


def make_epochs(n_trials=10, seed=0, names=("C3", "Cz", "C4", "EOG"), types=("eeg", "eeg", "eeg", "eog")):
    info = mne.create_info(list(names), 100.0, list(types))
    data = np.random.default_rng(seed).standard_normal((n_trials, len(names), 50)) * 1e-5
    events = np.column_stack([np.arange(n_trials), np.zeros(n_trials, int), np.arange(n_trials) % 2 + 1])
    return mne.EpochsArray(data, info, events, event_id={"left/hand": 1, "feet": 2}, verbose="error")


def save(path, seed=0, **content):
    """Four trials, or what is given, in a .npz file."""
    X = np.random.default_rng(seed).standard_normal((4, 2, 30))
    np.savez(path, **{"X": X, "y": ["l", "r"] * 2, "sfreq": 100} | content)
    return path


@pytest.fixture
def quiet():
    """Warnings are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_files_of_epochs_give_microvolts_labels_and_origin(tmp_path):
    first, second = make_epochs(4, seed=1), make_epochs(6, seed=2, names=("C4", "C3", "Cz", "EOG"))
    second.metadata = pd.DataFrame({"run": [1, 1, 1, 2, 2, 2]})
    paths = [tmp_path / "sub-anna_ses-2_run-7_epo.fif", tmp_path / "ben-epo.fif"]
    first.save(paths[0], verbose="error")
    second.save(paths[1], verbose="error")
    X, y, metadata = load_epochs(paths)
    assert X.ch_names == ("C3", "Cz", "C4") and X.sfreq == 100.0 and X.dtype == np.float32
    np.testing.assert_allclose(X[:4], 1e6 * first.get_data()[:, :3], rtol=1e-5)
    np.testing.assert_allclose(X[4:], 1e6 * second.get_data()[:, [1, 2, 0]], rtol=1e-5)
    assert y.tolist() == ["left/hand", "feet"] * 5
    assert metadata[:4].drop_duplicates().to_numpy().tolist() == [["anna", "2", "7"]]
    assert metadata.subject[4:].tolist() == ["ben"] * 6 and metadata.run[4:].tolist() == list("111222")


def test_npz_files_know_when_trials_begin_and_may_be_without_labels(tmp_path):
    X, y, _ = load_epochs(save(tmp_path / "a.npz", tmin=-0.5))
    assert X.tmin == -0.5 and len(y) == 4
    np.savez(tmp_path / "b.npz", X=np.asarray(X), sfreq=100, tmin=[[-0.5]])
    with pytest.raises(ValueError, match=r"b.npz: lacks \['y'\]"):
        load_epochs(tmp_path / "b.npz")
    make_epochs(4).save(tmp_path / "c-epo.fif", verbose="error")
    both, labels, metadata = load_epochs(
        [tmp_path / "b.npz", save(tmp_path / "d.npz", 1, tmin=-0.5)], labelled=False
    )
    assert labels is None and both.labels is None and metadata["subject"].tolist() == ["b"] * 4 + ["d"] * 4
    np.testing.assert_array_equal(both[:4], X)
    assert load_epochs(tmp_path / "c-epo.fif", labelled=False)[1] is None
    with pytest.raises(ValueError, match=r"a.npz: has trials that begin -0.5 s after .* first file None"):
        load_epochs([save(tmp_path / "e.npz", 1), tmp_path / "a.npz"])
    for wrong in ([0.0, 1.0], "now", np.nan):
        with pytest.raises(ValueError, match=r"f.npz: tmin=.* must be the time of the first sample"):
            load_epochs(save(tmp_path / "f.npz", tmin=wrong))


def test_npz_files_give_what_they_hold(tmp_path):
    data = rng.standard_normal((4, 2, 30))
    np.savez(
        tmp_path / "a.npz",
        X=data,
        y=[769, 770] * 2,
        subject=3,
        session=[1, 1, 2, 2],
        ch_names=["C3", "C4"],
        sfreq=250,
    )
    X, y, metadata = load_epochs(tmp_path / "a.npz")
    np.testing.assert_array_equal(np.asarray(X), data.astype(np.float32))
    assert X.sfreq == 250.0 and X.ch_names == ("C3", "C4") and y.tolist() == [769, 770] * 2
    assert metadata.subject.tolist() == [3] * 4 and metadata.session.tolist() == [1, 1, 2, 2]
    assert metadata.run.tolist() == ["1"] * 4


def test_npz_without_names_gives_a_plain_array(tmp_path):
    np.savez(tmp_path / "a.npz", X=np.ones((2, 2, 5)), y=["x", "y"])
    assert type(load_epochs(str(tmp_path / "a.npz"))[0]) is np.ndarray


GOOD = {
    "X": np.ones((2, 2, 5)),
    "y": np.array(["a", "b"]),
    "sfreq": 100.0,
    "ch_names": np.array(["C3", "C4"]),
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": None}, r"lacks \['y'\]"),
        ({"y": np.array(["a"])}, "y has shape"),
        ({"y": np.array(["a", "b"], dtype=object)}, "without pickle"),
        ({"X": np.ones((2, 10))}, "2-dimensional"),
        ({"subject": np.arange(3)}, "subject has shape"),
        ({"ch_names": np.array(["C3"])}, "1 ch_names"),
        ({"sfreq": 128.0}, r"128\.0 Hz, the first file"),
        ({"X": np.ones((2, 2, 6))}, r"\(2, 6\)"),
        ({"ch_names": np.array(["C3", "Pz"])}, r"\['C4'\] are missing, \['Pz'\] are unknown"),
        ({"ch_names": None}, "names its channels"),
        ({"y": np.array([1, 2])}, "labels of type int64"),
    ],
)
def test_files_that_do_not_fit_are_named(tmp_path, change, message):
    np.savez(tmp_path / "good.npz", **GOOD)
    np.savez(
        tmp_path / "bad.npz", **{key: value for key, value in (GOOD | change).items() if value is not None}
    )
    with pytest.raises(ValueError, match=rf"bad\.npz: .*{message}"):
        load_epochs([tmp_path / "good.npz", tmp_path / "bad.npz"])


def test_files_that_are_none_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing\.npz is not a file"):
        load_epochs(tmp_path / "missing.npz")
    (tmp_path / "data.csv").write_text("1,2")
    with pytest.raises(ValueError, match=r"neither a \.fif nor a \.npz"):
        load_epochs(tmp_path / "data.csv")
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04nothing")
    with pytest.raises(ValueError, match=r"broken\.npz"):
        load_epochs(tmp_path / "broken.npz")
    with pytest.raises(ValueError, match="paths is empty"):
        load_epochs([])


def test_the_same_trials_given_twice_are_refused(tmp_path):
    for folder in ("p1", "p2"):
        (tmp_path / folder).mkdir()
        np.savez(tmp_path / folder / "motor.npz", X=np.ones((2, 3, 50)), y=["rest", "feet"], sfreq=100)
    one, other = tmp_path / "p1" / "motor.npz", tmp_path / "p2" / "motor.npz"
    with pytest.raises(ValueError, match="given twice"):
        load_epochs([one, other, tmp_path / "p2" / ".." / "p1" / "motor.npz"])
    with pytest.raises(ValueError, match="names of the same subject, session and run"):
        load_epochs([one, other])
    np.savez(other, X=np.ones((2, 3, 50)), y=["rest", "feet"], sfreq=100, subject="ben")
    assert load_epochs([one, other])[2]["subject"].tolist() == ["motor", "motor", "ben", "ben"]
    with pytest.raises(ValueError, match=r"subjects=\[1, 1\] names some twice"):
        fetch_eegbci([1, 1])


def test_channels_that_files_do_not_share_are_named(tmp_path):
    np.savez(tmp_path / "a.npz", X=np.ones((2, 3, 50)), y=[0, 1], sfreq=100, ch_names=["C3", "Cz", "C4"])
    np.savez(tmp_path / "b.npz", X=np.ones((2, 2, 50)), y=[0, 1], sfreq=100, ch_names=["C3", "C4"])
    with pytest.raises(ValueError, match=r"channels \['Cz'\] are good EEG channels of one of them alone"):
        load_epochs([tmp_path / "a.npz", tmp_path / "b.npz"])


@pytest.mark.parametrize(
    ("name", "origin"),
    [
        ("sub-01-epo.fif", ("01", "1", "1")),
        ("sub-02_ses-3_run-2-epo.fif", ("02", "3", "2")),
        ("sub-02_ses-3_epo.fif.gz", ("02", "3", "1")),
        ("anna.v2-epo.fif.gz", ("anna.v2", "1", "1")),
    ],
)
def test_names_of_files_tell_whose_they_are(name, origin, tmp_path):
    make_epochs().save(tmp_path / name, verbose="error")
    _, _, metadata = load_epochs(tmp_path / name)
    assert tuple(metadata.iloc[0]) == origin


# What MATLAB leaves ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "meant"),
    [
        ("y", np.array([[1], [2], [1], [2]]), [1, 2, 1, 2]),
        ("y", np.array([[1.0, 2.0, 1.0, 2.0]]), [1, 2, 1, 2]),
        ("y", np.array([1, 2, 1, 2], np.uint8), [1, 2, 1, 2]),
        ("y", np.array([b"left", b"right", b"left", b"right"]), ["left", "right"] * 2),
        ("y", np.array(["left ", "right", "left ", "right"]), ["left", "right"] * 2),
        ("y", np.array([["l"], ["r"], ["l"], ["r"]]), ["l", "r"] * 2),
        ("sfreq", np.array([[250]]), 250.0),
        ("sfreq", np.array([250.0]), 250.0),
        ("sfreq", np.array([[b"250"]]), 250.0),
        ("sfreq", np.full(4, 250), 250.0),
        ("ch_names", np.array([[b"C3"], [b"Cz"]]), ("C3", "Cz")),
        ("ch_names", np.array(["C3 ", "Cz "]), ("C3", "Cz")),
        ("ch_names", np.array([["C3", "Cz"]]), ("C3", "Cz")),
        ("subject", np.array([[3]], np.uint8), [3] * 4),
        ("subject", np.array([[3.0]]), [3] * 4),
        ("subject", np.array(["anna"]), ["anna"] * 4),
        ("session", np.array([[1.0], [1.0], [2.0], [2.0]]), [1, 1, 2, 2]),
    ],
)
def test_fields_are_read_as_they_are_meant(tmp_path, quiet, field, value, meant):
    X, y, metadata = load_epochs(save(tmp_path / "a.npz", **{field: value}))
    read = {"y": lambda: y.tolist(), "sfreq": lambda: X.sfreq, "ch_names": lambda: X.ch_names}
    got = read.get(field, lambda: metadata[field].tolist())()
    assert got == meant and type(got[0] if field != "sfreq" else got) is type(
        meant[0] if field != "sfreq" else meant
    )


def test_what_scipy_reads_of_matlab_and_numpy_saves(tmp_path, quiet):
    X = rng.standard_normal((4, 2, 30))
    content = {"X": X, "y": [1, 2, 1, 2], "sfreq": 250, "ch_names": ["C3", "Cz "], "subject": "anna"}
    scipy.io.savemat(tmp_path / "a.mat", content)
    np.savez(tmp_path / "a.npz", **scipy.io.loadmat(tmp_path / "a.mat"))
    read, y, metadata = load_epochs(tmp_path / "a.npz")
    np.testing.assert_array_equal(read, X.astype(np.float32))
    assert (y.tolist(), read.sfreq, read.ch_names) == ([1, 2, 1, 2], 250.0, ("C3", "Cz"))
    assert metadata["subject"].tolist() == ["anna"] * 4


def test_number_types_of_labels_need_not_agree(tmp_path, quiet):
    paths = [
        save(tmp_path / f"{dtype.__name__}.npz", seed, y=np.array([1, 2, 1, 2], dtype))
        for seed, dtype in enumerate((np.uint8, np.int64, np.float64))
    ]
    y = load_epochs(paths)[1]
    assert y.dtype == np.int64 and y.tolist() == [1, 2] * 6


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("y", np.array([1, 2, np.nan, 2]), "y is NaN or infinite for 1 of 4 trials"),
        ("y", np.array([0.5, 1.5, 0.5, 1.5]), r"y holds \[0.5, 1.5, 0.5\], which are no classes"),
        ("y", np.eye(4), r"y has shape \(4, 4\), but X holds 4 trials"),
        ("y", np.array([["l", "r"], ["l", "r"]]), r"y has shape \(2, 2\), but X holds 4 trials"),
        ("y", np.array(["l"]), r"y has shape \(1,\), but X holds 4 trials"),
        ("y", np.array(["l", "", "l", "r"]), r"y is empty text or .* for 1 of 4 trials"),
        ("y", np.array(["l", np.nan, "l", "r"]), r"y is empty text or \('nan', .* for 1 of 4 trials"),
        (
            "y",
            np.array([["l"], ["r"], [None], ["r"]]),
            r"y cannot be read without pickle.*numpy\.savez\(file, y=",
        ),
        ("ch_names", np.array([["C3"], [None]]), r"ch_names cannot be read without pickle.*could run code"),
        ("ch_names", np.array(["C3", "C3"]), "names a channel twice"),
        ("sfreq", np.array([100, 200]), r"sfreq=\[100, 200\] must be a positive number"),
        ("y", np.array([2**63, 1, 2, 1], np.uint64), "y holds numbers that are too large to be told apart"),
        ("y", np.array([1e300, 1, 2, 1]), "y holds numbers that are too large to be told apart"),
        ("sfreq", True, "sfreq=True must be a positive number"),
        ("sfreq", 250 + 1j, "must be a positive number"),
        ("sfreq", np.nan, "sfreq=nan must be a positive number"),
        ("sfreq", 0, "sfreq=0 must be a positive number"),
        ("sfreq", "fast", "sfreq='fast' must be a positive number"),
        ("subject", np.nan, "subject is NaN or infinite for 1 of 1"),
        ("session", np.array([1, np.nan, 2, 2]), "session is NaN or infinite for 1 of 4 trials"),
        ("run", np.arange(3), r"run has shape \(3,\)"),
        ("X", rng.standard_normal((2, 30, 4)), r"trials seem to be last.*X\.transpose\(2, 0, 1\)"),
    ],
)
def test_fields_that_mean_nothing_are_named(tmp_path, field, value, message):
    with pytest.raises(ValueError, match=rf"a\.npz: .*{message}"):
        load_epochs(save(tmp_path / "a.npz", **{field: value}))


def test_fields_that_are_not_needed_are_not_looked_at(tmp_path, quiet):
    X, _, _ = load_epochs(save(tmp_path / "a.npz", info=np.array([{"rig": 1}], dtype=object)))
    assert len(X) == 4


# One person, one trial, one unit --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "origin"),
    [
        ("A01T-epo.fif", ("A01", "T", "1")),
        ("A01E.gdf", ("A01", "E", "1")),
        ("B0103T.npz", ("B01", "03", "1")),
        ("S001R04.edf", ("S001", "1", "04")),
        ("S01B.mat", ("S01", "B", "1")),
        ("sub-01_ses-pre_task-mi_run-02_eeg.vhdr", ("01", "pre", "02")),
        ("subject1_session2.npz", ("subject1", "2", "1")),
        ("subject1session2_epo.fif", ("subject1", "2", "1")),
        ("sess01_subj02_EEG_MI.mat", ("subj02_EEG_MI", "01", "1")),
        ("S1_Session_10.mat", ("S1", "10", "1")),
        ("P1_day2_run3.fif", ("P1", "2", "3")),
        ("HS_P1_S2.mat", ("P1", "1", "2")),
        ("A1_R3_onlineT.gdf", ("A1", "1", "3")),
        ("BCICIV_eval_ds1a.mat", ("ds1a", "eval", "1")),
        ("S1_2B.cnt", ("S1", "2", "B")),
        ("s01.mat", ("s01", "1", "1")),
        ("al.npz", ("al", "1", "1")),
        ("1.mat", ("1", "1", "1")),
        ("birthday.npz", ("birthday", "1", "1")),
        ("anna-epo-2.fif", ("anna", "1", "1")),
        ("ANNA-EPO.FIF", ("ANNA", "1", "1")),
        ("peter/run2.npz", ("peter", "1", "2")),
        ("s001r04.edf", ("s001", "1", "04")),
        ("SC4012E0-PSG.edf", ("SC401", "2", "1")),
        ("ST7022J0-PSG.edf", ("ST702", "2", "1")),
        ("CLA-SubjectJ-170508-3St-LRHand-Inter.mat", ("J", "170508", "1")),
    ],
)
def test_names_of_well_known_data_sets_are_understood(name, origin):
    assert tuple(origin_of_name(name).values()) == origin


@pytest.mark.parametrize(
    ("subjects", "alike"),
    [
        (["A01T", "A01E", "A02T"], [["A01T", "A01E"]]),
        (["S001R04", "S001R08", "S002R04"], [["S001R04", "S001R08"]]),
        (["B0101T", "B0102T"], [["B0101T", "B0102T"]]),
        (["anna1", "anna2", "ben1"], [["anna1", "anna2"]]),
        (["P01_1", "P01_2", "P02_1"], [["P01_1", "P01_2"]]),
        (["anna_train", "ben_train", "anna_test"], [["anna_train", "anna_test"]]),
        (["s01_2024-01-02", "s01_20240103"], [["s01_2024-01-02", "s01_20240103"]]),
        (["subj1a", "subj1b", "subj2a"], [["subj1a", "subj1b"]]),
        (["sub1_reach", "sub1_grasp", "sub2_grasp"], [["sub1_reach", "sub1_grasp"]]),
        ([1, "01", 2], [[1, "01"]]),
        (["S1", "s-01", "S2"], [["S1", "s-01"]]),
        ([f"anna_{i}" for i in range(12)], [[f"anna_{i}" for i in range(12)]]),
        (["H S1 EC", "H S1 EO", "H S2 EC"], [["H S1 EC", "H S1 EO"]]),
        (["S01_MI", "S01_ME", "S02_MI"], [["S01_MI", "S01_ME"]]),
        (["s01_left_hand", "s01_rest", "s02_rest"], [["s01_left_hand", "s01_rest"]]),
        (["imagery_subject1", "execution_subject1"], [["imagery_subject1", "execution_subject1"]]),
        (["anna (1)", "anna (2)", "ben"], [["anna (1)", "anna (2)"]]),
        (["anna_170508", "anna_170510", "ben_170510"], [["anna_170508", "anna_170510"]]),
        (["lemon_032301", "lemon_032302"], []),  # no dates
        (["MI_S01", "MI_S02"], []),
        (["SC400", "SC401"], []),
        (["s01", "s02"], []),
        (["subject_1", "subject_2"], []),
        (["sub-01", "sub-02", "01", "02"][:2], []),
        (["aa", "al", "av", "aw", "ay"], []),
        (["ds1a", "ds1b"], []),
        (["k3b", "k6b", "l1b"], []),
        (["group1_01", "group1_02", "group2_01"], []),
        (["control1", "patient1"], []),
        (["S1_1", "S11"], []),
        ([f"ku{i}" for i in range(1, 55)], []),
        (["anna", "ben"], []),
        ([1, 2, 11], []),
        ([], []),
    ],
)
def test_one_person_as_several(subjects, alike):
    assert one_person_as_several(subjects) == alike
    assert one_person_as_several(subjects * 2) == alike  # a row a trial


def test_files_of_one_person_are_one_person(tmp_path, quiet):
    paths = [
        save(tmp_path / f"{name}.npz", seed) for seed, name in enumerate(("A01T", "A01E", "A02T", "A02E"))
    ]
    metadata = load_epochs(paths)[2]
    assert metadata[["subject", "session"]].drop_duplicates().to_numpy().tolist() == [
        ["A01", "T"],
        ["A01", "E"],
        ["A02", "T"],
        ["A02", "E"],
    ]


def test_files_that_look_like_one_person_are_named(tmp_path):
    paths = [save(tmp_path / f"{name}.npz", seed) for seed, name in enumerate(("anna1", "anna2", "ben"))]
    with pytest.warns(
        UserWarning, match=r"of one person: anna1, anna2\. If they are, the same person trains"
    ):
        metadata = load_epochs(paths)[2]
    assert metadata["subject"].unique().tolist() == ["anna1", "anna2", "ben"]


def test_a_comparison_names_people_that_may_be_one():
    X, y = rng.standard_normal((16, 2, 30)), np.tile(["l", "r"], 8)
    metadata = pd.DataFrame({"subject": np.repeat(["A01T", "A01E", "A02T", "A02E"], 4)})
    with pytest.warns(UserWarning, match="of one person: A01T, A01E; A02T, A02E") as told:
        compare({"dummy": DummyClassifier()}, X, y, metadata, progress=False)
    assert told[0].filename == __file__
    metadata["subject"] = np.repeat(["anna", "ben"], 8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compare({"dummy": DummyClassifier()}, X, y, metadata, progress=False)


def test_subjects_of_files_are_of_one_type(tmp_path, quiet):
    paths = [save(tmp_path / "a.npz", 0, subject=1, session=[1, 1, 2, 2]), save(tmp_path / "02.npz", 1)]
    metadata = load_epochs(paths)[2]
    assert metadata["subject"].tolist() == ["1"] * 4 + ["02"] * 4
    assert metadata["session"].tolist() == ["1", "1", "2", "2"] + ["1"] * 4
    paths[1] = save(tmp_path / "b.npz", 1, subject=2.0, session=1)
    metadata = load_epochs(paths)[2]
    assert metadata["subject"].tolist() == [1] * 4 + [2] * 4 and metadata["subject"].dtype == np.int64


@pytest.mark.parametrize("missing", [[1.0, np.nan], ["a", None]])
def test_missing_metadata_of_epochs_is_named(tmp_path, missing):
    epochs = make_epochs(4)
    epochs.metadata = pd.DataFrame({"session": missing * 2})
    epochs.save(tmp_path / "a-epo.fif", verbose="error")
    with pytest.raises(ValueError, match=r"a-epo\.fif: session is missing for 2 of 4 trials"):
        load_epochs(tmp_path / "a-epo.fif")


def test_numbers_of_epochs_that_are_not_whole_become_text(tmp_path):
    epochs = make_epochs(4)
    epochs.metadata = pd.DataFrame({"session": [1.0, 2.5, 3.0, 4.0]})
    epochs.save(tmp_path / "a-epo.fif", verbose="error")
    assert load_epochs(tmp_path / "a-epo.fif")[2]["session"].tolist() == ["1", "2.5", "3", "4"]


def test_categories_of_epochs_become_plain_columns(tmp_path):
    epochs = make_epochs(4)
    epochs.metadata = pd.DataFrame({"subject": pd.Categorical(["a", "b"] * 2, categories=["a", "b", "c"])})
    epochs.save(tmp_path / "a-epo.fif", verbose="error")
    metadata = load_epochs(tmp_path / "a-epo.fif")[2]
    assert metadata.groupby("subject").size().to_dict() == {"a": 2, "b": 2}


@pytest.mark.parametrize("naming", ["neuromag", "bids"])
def test_parts_of_a_split_file_are_read_once(tmp_path, naming, quiet):
    info = mne.create_info(["C3", "Cz", "C4"], 100.0, "eeg")
    data = np.random.default_rng(0).standard_normal((60, 3, 2500)) * 1e-5
    events = np.column_stack([np.arange(60), np.zeros(60, int), np.arange(60) % 2 + 1])
    epochs = mne.EpochsArray(data, info, events, event_id={"l": 1, "r": 2}, verbose="error")
    epochs.save(tmp_path / "sub-7_epo.fif", split_size="2MB", split_naming=naming, verbose="error")
    paths = sorted(tmp_path.glob("*.fif"))
    assert len(paths) > 1
    X, y, metadata = load_epochs(paths)
    np.testing.assert_allclose(X, 1e6 * data, rtol=1e-5, atol=1e-4)
    assert y.tolist() == ["l", "r"] * 30 and metadata["subject"].tolist() == ["7"] * 60
    names = (
        ("sub-7_epo.fif", "sub-7_epo-1.fif") if naming == "neuromag" else [path.name for path in paths[:2]]
    )
    first, part = (tmp_path / name for name in names)
    part.unlink()  # without it the file is not whole
    with pytest.raises(ValueError, match="cannot be read, the file seems to be damaged"):
        load_epochs(first)


def test_the_same_trials_in_two_files_are_named(tmp_path):
    X = rng.standard_normal((4, 2, 30))
    anna = save(tmp_path / "anna.npz", X=X)
    ben = save(tmp_path / "ben.npz", X=np.concatenate([rng.standard_normal((1, 2, 30)), X[2:], X[2:3]]))
    with pytest.warns(
        UserWarning, match=r"3 trials of .*ben\.npz are also in .*anna\.npz \(trial 1 is 2 there\)"
    ):
        load_epochs([anna, ben])
    with pytest.warns(UserWarning, match=r"1 trials come twice in .*ben\.npz \(trials 1 and 3\)"):
        load_epochs(ben)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_epochs(anna)


@pytest.mark.parametrize(
    "change", [lambda x: x, lambda x: 1e-6 * x, lambda x: x.astype(np.float32), lambda x: x + 3]
)
def test_duplicates_are_found_in_any_unit(change):
    X = rng.standard_normal((200, 3, 40))
    X[150], X[40], X[199] = change(X[7]), change(X[120]), change(X[7])
    assert duplicate_trials(X).tolist() == [[40, 120], [7, 150], [7, 199]]


def test_alike_is_not_the_same():
    X = rng.standard_normal((130, 3, 40))
    X[70] = X[3] + 1e-3 * rng.standard_normal((3, 40))
    X[80], X[90] = 0, 1  # nothing changes in them
    X[100] = -X[5]
    assert duplicate_trials(X).shape == (0, 2)
    assert duplicate_trials(X[:1]).shape == duplicate_trials(X[:0]).shape == (0, 2)


def test_trials_all_the_same_are_found_to_the_last():
    assert duplicate_trials(np.tile(rng.standard_normal((1, 2, 9)), (70, 1, 1))).tolist() == [
        [0, i] for i in range(1, 70)
    ]


def test_files_in_other_units_are_refused(tmp_path):
    first = save(tmp_path / "a.npz", 0)
    other = save(tmp_path / "b.npz", X=1e-6 * rng.standard_normal((4, 2, 30)))
    with pytest.raises(ValueError, match=r"b\.npz: has another unit than the first file.*give µV"):
        load_epochs([first, other])
    quiet = save(tmp_path / "c.npz", X=1.1e-3 * np.load(first)["X"])  # mV, of a person a tenth louder
    with pytest.raises(ValueError, match=r"c\.npz: has another unit"):
        load_epochs([first, quiet])
    with pytest.warns(UserWarning, match=r"seems to be in V or mV; give µV"):
        load_epochs(other)


def test_rates_that_agree_but_for_rounding_are_one(tmp_path, quiet):
    paths = [save(tmp_path / "a.npz", 0, sfreq=200.1), save(tmp_path / "b.npz", 1, sfreq=np.float32(200.1))]
    assert load_epochs(paths)[0].sfreq == 200.1
    paths[1] = save(tmp_path / "b.npz", 1, sfreq=200)
    with pytest.raises(ValueError, match=r"200\.0 Hz, the first file"):
        load_epochs(paths)
    np.savez(tmp_path / "b.npz", X=rng.standard_normal((4, 2, 30)), y=list("lrlr"))
    with pytest.raises(ValueError, match="at None Hz, the first file"):
        load_epochs(paths)
