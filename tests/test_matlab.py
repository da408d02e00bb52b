"""Files of MATLAB: trials, and recordings as BNCI Horizon 2020 and the BCI competitions lay them out."""

import numpy as np
import pytest
import scipy.io
from numpy.testing import assert_allclose, assert_array_equal

from skeeg.datasets import load_epochs

RNG = np.random.default_rng(0)
HANDS = ["left hand", "right hand"]


def cell(texts):
    return np.array(texts, dtype=object)


def runs_of(n_chans, classes, n_runs=2, sfreq=250.0):
    """As BNCI Horizon 2020: runs in a cell, the first of which has no trials; µV, samples from 1."""
    runs, expected = [{"X": RNG.standard_normal((500, n_chans)), "trial": [], "y": [], "fs": sfreq}], []
    for _ in range(n_runs):
        X = 10 * RNG.standard_normal((3000, n_chans))
        trials, y = np.array([101, 1101, 2101]), RNG.permutation(3) % len(classes) + 1
        runs.append({"X": X, "trial": trials, "y": y, "fs": sfreq, "classes": cell(classes)})
        expected += [
            (X[start + 499 : start + 749].T, classes[code - 1]) for start, code in zip(trials, y, strict=True)
        ]
    made = np.empty(len(runs), dtype=object)
    made[:] = runs
    return made, expected


def test_runs_of_bnci_horizon(tmp_path):
    for name in ("A01T", "A02T"):
        runs, expected = runs_of(25, [*HANDS, "feet", "tongue"])
        scipy.io.savemat(tmp_path / f"{name}.mat", {"data": runs})
    events = {name: name for name in {label for _, label in expected}}
    with pytest.warns(UserWarning, match=r"channels \['EOG1', 'EOG2', 'EOG3'\] are left out"):
        X, y, metadata = load_epochs([tmp_path / "A02T.mat"], events=events, tmin=2, tmax=3)
    assert X.sfreq == 250 and X.ch_names[7] == "C3" and X.ch_names[-1] == "POz" and X.shape == (6, 22, 250)
    assert_allclose(X, [trial[:22] for trial, _ in expected], rtol=1e-4, atol=1e-4)
    assert y.tolist() == [label for _, label in expected]
    assert metadata["subject"].unique().tolist() == ["A02"]


def test_channels_without_names_are_said(tmp_path):
    runs, expected = runs_of(5, HANDS, sfreq=200.0)
    scipy.io.savemat(tmp_path / "a.mat", {"data": runs})
    with pytest.warns(UserWarning, match="no names in this file: all 5 are taken for EEG"):
        X, _, _ = load_epochs(
            [tmp_path / "a.mat"], events={name: name for name in HANDS}, tmin=2.5, tmax=3.75
        )
    assert X.ch_names == tuple(f"EEG{i}" for i in range(1, 6))
    assert_allclose(X, [trial for trial, _ in expected], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("competition", ["III, IVa", "IV, 1"])
def test_recordings_of_bbci(tmp_path, competition):
    cnt = RNG.integers(-500, 500, (4000, 3)).astype(np.int16)  # 0.1 µV
    positions = np.array([501, 1501, 2501, 3501])
    nfo = {"fs": 100.0, "clab": cell(["C3", "Cz", "C4"])}
    if competition == "IV, 1":
        mrk, nfo["classes"] = {"pos": positions, "y": [-1, 1, -1, 1]}, cell(["left", "foot"])
        expected = ["left", "foot", "left", "foot"]
    else:
        mrk = {"pos": positions, "y": [2.0, 1.0, np.nan, 1.0], "className": cell(["right", "foot"])}
        expected = ["foot", "right", "right"]
        positions = positions[[0, 1, 3]]
    scipy.io.savemat(tmp_path / "a.mat", {"cnt": cnt, "mrk": mrk, "nfo": nfo})
    events = {name: name for name in set(expected)}
    X, y, _ = load_epochs([tmp_path / "a.mat"], events=events, tmin=0.5, tmax=3.5)
    assert y.tolist() == expected and X.ch_names == ("C3", "Cz", "C4") and X.sfreq == 100
    cut = [0.1 * cnt[start + 49 : start + 349].T for start in positions]
    assert_allclose(X, cut, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mrk": {"pos": [1, 2], "y": [1]}}, "marks 2 trials and the class of 1"),
        ({"mrk": {"pos": [1, 900], "y": [1, 2]}}, "marks trials at samples 1 to 900 of 800"),
        ({"mrk": {"pos": [0, 9], "y": [1, 2]}}, "marks trials at samples 0 to 9 of 800"),
        ({"mrk": {"pos": [1, 9], "y": [1, 3]}}, r"has classes \[1, 3\], but 2 names"),
        (
            {"mrk": {"pos": [1, 9], "y": [1, 1]}},
            r"class 1 alone: the first of .*left.* or the second",
        ),
        ({"mrk": {"when": [1]}}, "lacks a field of its layout .*pos"),
        ({"nfo": 3}, "lacks a field of its layout"),
        ({"cnt": None}, r"holds \['mrk', 'nfo'\]: neither runs with trials"),
    ],
)
def test_what_contradicts_itself_is_told(tmp_path, change, words):
    content = {
        "cnt": np.zeros((800, 2)),
        "mrk": {"pos": [1, 9], "y": [1, 2]},
        "nfo": {"fs": 100.0, "clab": cell(["C3", "C4"]), "classes": cell(["left", "right"])},
    }
    content = {name: value for name, value in (content | change).items() if value is not None}
    scipy.io.savemat(tmp_path / "a.mat", content)
    with pytest.raises(ValueError, match=words) as told:
        load_epochs([tmp_path / "a.mat"], events={"left": "left", "right": "right"}, tmin=0, tmax=1)
    assert str(tmp_path / "a.mat") in str(told.value)


def test_lost_samples_are_no_zeros(tmp_path):
    runs, _ = runs_of(25, [*HANDS, "feet", "tongue"], n_runs=1)
    runs[1]["X"][1200:1210] = np.nan
    scipy.io.savemat(tmp_path / "a.mat", {"data": runs})
    events = {name: name for name in [*HANDS, "feet", "tongue"]}
    with pytest.warns(UserWarning, match="1 of 3 trials are left out: their window runs past an end"):
        X, _, _ = load_epochs([tmp_path / "a.mat"], events=events, tmin=0, tmax=1)
    assert len(X) == 2 and np.isfinite(X).all()


@pytest.mark.parametrize("n_chans", [1, 3])
def test_trials(tmp_path, n_chans):
    X, y = RNG.standard_normal((4, n_chans, 50)), [1.0, 2.0, 1.0, 2.0]
    names = cell(["C3", "Cz", "C4"][:n_chans])
    content = {"X": 10 * X, "y": y, "sfreq": 100.0, "ch_names": names, "subject": "anna"}
    scipy.io.savemat(tmp_path / "a.mat", content)
    read, labels, metadata = load_epochs([tmp_path / "a.mat"])
    assert_allclose(read, 10 * X, rtol=1e-6)
    assert_array_equal(labels, [1, 2, 1, 2])
    assert read.sfreq == 100 and read.ch_names == tuple(names) and set(metadata["subject"]) == {"anna"}
    scipy.io.savemat(tmp_path / "b.mat", content | {"y": cell(["left", "right"] * 2)})
    assert load_epochs([tmp_path / "b.mat"])[1].tolist() == ["left", "right"] * 2
    scipy.io.savemat(tmp_path / "c.mat", content | {"X": X.transpose(1, 2, 0)})
    with pytest.raises(ValueError, match="trials seem to be last, as in MATLAB"):
        load_epochs([tmp_path / "c.mat"])
