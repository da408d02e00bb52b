"""MOABB's data sets here, and estimators in MOABB's evaluations, on its fake data with a signal put in."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from pyriemann.classification import MDM
from pyriemann.estimation import Covariances
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline

pytest.importorskip("moabb", reason='needs MOABB: pip install "skeeg[moabb]"')

from moabb.analysis.results import get_string_rep
from moabb.datasets.fake import FakeDataset
from moabb.evaluations import CrossSessionEvaluation, CrossSubjectEvaluation, WithinSessionEvaluation
from moabb.paradigms import FilterBankMotorImagery, LeftRightImagery, MotorImagery
from moabb_signal import CHANNELS, SignalDataset

from skeeg import EuclideanAlignment, Scaler, SincShallowNetClassifier, SSTDPNClassifier
from skeeg.augmentation import MirrorLeftRight
from skeeg.baselines import make_csp_lda, make_tangent_space_lr
from skeeg.cli import main
from skeeg.datasets import load_moabb
from skeeg.evaluation.pipelines import PIPELINES
from skeeg.preprocessing import with_target_trials

pytestmark = pytest.mark.filterwarnings("ignore:Montage name:FutureWarning")


@pytest.fixture(autouse=True)
def no_home(monkeypatch, tmp_path):
    """MOABB writes configuration and folders to the home folder."""
    monkeypatch.setenv("_MNE_FAKE_HOME_DIR", str(tmp_path))
    for name in ("MNE_DATA", "MOABB_RESULTS"):
        monkeypatch.setenv(name, str(tmp_path))


# ----- the data ----------------------------------------------------------------------------------------


def test_trials_are_those_that_moabb_gives_to_pipelines():
    expected, labels, metadata = LeftRightImagery(fmin=6, fmax=30).get_data(SignalDataset(), [1, 3])
    X, y, own = load_moabb(SignalDataset(), "LeftRightImagery", subjects=[1, 3], band=(6, 30))
    assert X.ch_names == CHANNELS and X.sfreq == 100 and X.tmin == 0
    np.testing.assert_array_equal(np.asarray(X), expected.astype(np.float32))
    np.testing.assert_array_equal(y, labels)
    pd.testing.assert_frame_equal(own, metadata)
    assert 5 < np.asarray(X).std() < 50  # µV


def test_window_and_paradigm_of_ones_own():
    paradigm = MotorImagery(n_classes=2, fmin=4, fmax=40, tmin=0.5, tmax=2.5)
    X, _, _ = load_moabb(SignalDataset(), paradigm, subjects=2)
    Z, _, _ = load_moabb(SignalDataset(), subjects=[2], tmin=0.5, tmax=2.5, band=(4, 40))
    np.testing.assert_array_equal(X, Z)
    assert X.shape == (32, 6, 201) and X.tmin == 0.5


def test_a_data_set_that_is_not_stored_in_volts():
    in_microvolts, in_volts = SignalDataset(amplitude=20), SignalDataset()
    in_microvolts.unit_factor = 1.0
    raw = in_microvolts._generate_raw

    def louder(*arguments):
        made = raw(*arguments)
        made._data[:-1] *= 1e6
        return made

    in_microvolts._generate_raw = louder
    X, Z = (load_moabb(data, subjects=[1])[0] for data in (in_microvolts, in_volts))
    np.testing.assert_allclose(X, Z, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("BNCI2014001",), "no data set 'BNCI2014001'; do you mean BNCI2014_001"),
        (("BNCI2014_001", "LeftRight"), "no paradigm 'LeftRight'; do you mean LeftRightImagery"),
        (("no_module.Data",), "'no_module.Data' is no data set that can be imported: No module named"),
        (("json.JSONDecoder",), "no class of a data set of MOABB"),
        (("BNCI2014_001", "P300"), "P300 is not for BNCI2014-001, of the kind 'imagery' with the events"),
    ],
)
def test_wrong_names_are_told(arguments, words):
    with pytest.raises(ValueError, match=words):
        load_moabb(*arguments)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"subjects": [1, 9]}, r"subjects=\[9\] are not in SignalDataset.*; it has 1, 2, 3"),
        ({"subjects": []}, "subjects is empty"),
        ({"subjects": [1, 1]}, "names some twice"),
        ({"band": (30, 8)}, r"band=\(30, 8\) must be two frequencies"),
        ({"band": (8, 30), "paradigm": MotorImagery()}, "fmin, fmax are the paradigm's own"),
        ({"paradigm": FilterBankMotorImagery()}, "FilterBankMotorImagery makes 6 copies of each trial"),
    ],
)
def test_wrong_options_are_told(options, words):
    with pytest.raises(ValueError, match=words):
        load_moabb(SignalDataset(), **options)


def test_people_with_other_channels_are_told():
    class Other(FakeDataset):
        def _get_single_subject_data(self, subject):
            self.channels = ("C3", "Cz", "C4")[:subject]
            return super()._get_single_subject_data(subject)

    with pytest.raises(ValueError, match=r"subject 2 was recorded with 2 channels \(C3, Cz\), .* 1 channels"):
        load_moabb(Other(n_subjects=2, n_sessions=1, n_runs=1, duration=20, n_events=3))


def test_compare_on_fake_data(tmp_path, capsys):
    out = tmp_path / "results"
    data = ["--data", "moabb:moabb_signal.SignalDataset", "--paradigm", "LeftRightImagery"]
    chosen = ["--subjects", "1,2", "--cv", "cross-session", "--pipelines", "csp-lda,mdm", "--n-jobs", "1"]
    assert main(["compare", *data, *chosen, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "64 trials of 2 subjects: 6 channels, 301 samples at 100 Hz" in printed
    assert "left_hand 32, right_hand 32" in printed
    assert pd.read_csv(out / "scores.csv")["accuracy"].mean() > 0.8


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data", "moabb:BNCI2014_01"], "no data set 'BNCI2014_01'; do you mean"),
        (["--data", "moabb:FakeDataset", "a.npz"], "stands alone"),
        (["--data", "simulated", "--paradigm", "P300"], "argument --paradigm: only for"),
    ],
)
def test_the_command_refuses_in_one_line(arguments, words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["compare", *arguments])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert words in line


# ----- inside MOABB --------------------------------------------------------------------------------------

PARADIGM = {"fmin": 4, "fmax": 38}


def network(**options):
    return SincShallowNetClassifier(max_epochs=8, sfreq=100, random_state=0, verbose=0, **options)


def evaluated(evaluation, pipelines, folder, n_subjects=3, **options):
    """Scores by pipeline, subject and session."""
    run = evaluation(
        paradigm=LeftRightImagery(**PARADIGM),
        datasets=[SignalDataset(n_subjects, n_events=12)],
        hdf5_path=str(folder),
        overwrite=True,
        random_state=0,
        **options,
    )
    return run.process(pipelines)


@pytest.mark.parametrize(
    "evaluation", [WithinSessionEvaluation, CrossSessionEvaluation, CrossSubjectEvaluation]
)
@pytest.mark.parametrize("return_epochs", [False, True])
def test_estimators_and_pipelines_run_unchanged(evaluation, return_epochs, tmp_path):
    pipelines = {
        "network": make_pipeline(EuclideanAlignment(mode="together"), Scaler(), network(train_split=0.25)),
        "csp": make_csp_lda(sfreq=100),
        "riemann": make_tangent_space_lr(sfreq=None if return_epochs else 100),
    }
    if not return_epochs:  # pyRiemann's own takes arrays
        pipelines["theirs"] = make_pipeline(Covariances("oas"), MDM())
    scores = evaluated(evaluation, pipelines, tmp_path, n_subjects=2, return_epochs=return_epochs)
    assert scores["pipeline"].value_counts().to_dict() == dict.fromkeys(pipelines, 4)
    means = scores.groupby("pipeline")["score"].mean()
    assert means.drop("network").min() > 0.9
    assert means["network"] > 0.65


def by_hand(pipeline, person, mode, n_known=0):
    """ROC AUC of each session of a person, of a fit to the others and to what is known of the person."""
    X, y, metadata = LeftRightImagery(**PARADIGM).get_data(SignalDataset(n_events=12))
    y, subjects, sessions = y == "right_hand", metadata["subject"].to_numpy(), metadata["session"].to_numpy()
    others, own = subjects != person, np.flatnonzero(subjects == person)
    given = {"subjects": subjects[others]}
    known = [rows[:n_known] for rows in (own[sessions[own] == s] for s in np.unique(sessions))]
    known = np.concatenate(known) if n_known else np.array([], dtype=int)
    if mode.startswith("train_and_target_unlabeled"):
        given["X_target_unlabeled"] = X[known]
    if mode.startswith("train_and_target_labeled"):
        given |= {"X_target_labeled": X[known], "y_target_labeled": y[known].astype(int)}
    fitted = sklearn.clone(pipeline)
    with sklearn.config_context(enable_metadata_routing=True):
        fitted.fit(X[others], y[others].astype(int), **given)
    tested = own if mode.endswith("full") else np.setdiff1d(own, known)
    parts = [tested[sessions[tested] == s] for s in np.unique(sessions)]
    return [roc_auc_score(y[rows], fitted.predict_proba(X[rows])[:, 1]) for rows in parts]


@pytest.mark.parametrize("mode", ["train", "train_and_target_unlabeled_full", "train_and_target_labeled_50p"])
def test_subjects_and_target_trials_arrive(mode, tmp_path):
    pipeline = with_target_trials(make_pipeline(EuclideanAlignment(), Scaler(), network(train_split=0.5)))
    if mode == "train":
        pipeline.set_params(euclideanalignment__mode="together")
    scores = evaluated(CrossSubjectEvaluation, {"it": pipeline}, tmp_path, cs_mode=mode)
    scores = scores.set_index(["subject", "session"])["score"]
    n_known = {"train": 0, "train_and_target_unlabeled_full": 12, "train_and_target_labeled_50p": 6}[mode]
    expected = by_hand(pipeline, 3, mode, n_known)
    np.testing.assert_allclose([scores["3", "0"], scores["3", "1"]], expected, atol=1e-6)


def test_trial_by_trial_in_moabb(tmp_path):
    pipelines = {
        "causal": make_csp_lda(sfreq=100, recenter=True).set_params(euclideanalignment__mode="causal"),
        "network": make_pipeline(EuclideanAlignment(mode="single"), Scaler(), network()),
    }
    scores = evaluated(CrossSubjectEvaluation, pipelines, tmp_path, cs_mode="train_trialwise")
    assert scores.groupby("pipeline")["score"].mean().min() > 0.8


def keys():
    made = [build(sfreq=100, random_state=0, max_epochs=2) for build in PIPELINES.values()]
    mirror = MirrorLeftRight(["C3", "Cz", "C4"], ("left_hand", "right_hand"))
    loss = torch.nn.CrossEntropyLoss()
    made.append(SSTDPNClassifier(augmentation=[mirror], optimizer=torch.optim.SGD, loss=loss))
    made.append(with_target_trials(make_csp_lda(sfreq=100, recenter=True)))
    return [get_string_rep(pipeline).decode() for pipeline in made]


def test_what_moabb_stores_results_by_is_the_same_in_every_process():
    own = keys()
    command = "import json, test_moabb; print(json.dumps(test_moabb.keys()))"
    environment = os.environ | {"PYTHONHASHSEED": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    other = subprocess.run(
        [sys.executable, "-c", command], env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(other.stdout.splitlines()[-1]) == own
    assert len(set(own)) == len(own)
