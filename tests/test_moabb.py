"""MOABB's data sets here, and estimators in MOABB's evaluations, on its fake data with a signal put in."""

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("moabb", reason='needs MOABB: pip install "skeeg[moabb]"')

from moabb.datasets.fake import FakeDataset
from moabb.paradigms import FilterBankMotorImagery, LeftRightImagery, MotorImagery
from moabb_signal import CHANNELS, SignalDataset

from skeeg.cli import main
from skeeg.datasets import load_moabb

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
