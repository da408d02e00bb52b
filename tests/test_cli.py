"""The `skeeg` command: what it prints, writes and refuses."""

import io
import os
import re
import signal
import subprocess
import sys
from importlib.metadata import entry_points, version
from pathlib import Path

import mne
import numpy as np
import pandas as pd
import pytest
from pyriemann.spatialfilters import CSP

from skeeg.cli import main
from skeeg.datasets import make_motor_imagery


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Three people in a file each."""
    folder = tmp_path_factory.mktemp("recordings")
    X, y, metadata = make_motor_imagery(
        n_subjects=3, n_trials=12, n_chans=5, duration=2, difficulty=0.1, n_sessions=1, random_state=0
    )
    for subject in (1, 2, 3):
        rows = (metadata["subject"] == subject).to_numpy()
        np.savez(folder / f"sub-{subject}.npz", X=X[rows], y=y[rows], sfreq=X.sfreq, ch_names=X.ch_names)
    return [str(folder / f"sub-{subject}.npz") for subject in (1, 2, 3)]


def png_size(path):
    header = path.read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    return int.from_bytes(header[16:20], "big"), int.from_bytes(header[20:24], "big")


def test_compare_prints_a_table_and_writes_results(files, tmp_path, capsys):
    out = tmp_path / "results"
    names = "csp-lda,tangent-space-lr+ea,sstdpn,attentionbasenet:se,sincshallownet,fblightconvnet"
    command = ["compare", "--data", *files, "--pipelines", names, "--epochs", "2", "--out", str(out)]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "36 trials of 3 subjects: 5 channels, 250 samples at 125 Hz\nsubjects: 1, 2, 3\n" in printed
    assert "cross-subject: 3 subjects, 3 folds, 2 classes, chance 50.0 %" in printed
    assert max(map(len, printed.splitlines()[:-1])) <= 100
    for name in names.split(","):
        assert sum(line.startswith(f"{name} ") for line in printed.splitlines()) == 1

    scores = pd.read_csv(out / "scores.csv", keep_default_na=False)
    assert (scores["error"] == "").all()
    assert scores.groupby("pipeline")["subject"].nunique().to_dict() == dict.fromkeys(names.split(","), 3)
    predictions = pd.read_csv(out / "predictions.csv")
    assert len(predictions) == 6 * 36
    assert sorted(predictions["y_pred"].unique()) == ["left_hand", "right_hand"]
    assert min(png_size(out / "scores.png")) > 300
    assert min(png_size(out / "confusion.png")) > 300

    # the same command again takes everything from disk and says the same
    before = {path: path.stat().st_mtime_ns for path in (out / "folds").iterdir()}
    main(command)
    again = capsys.readouterr().out
    assert again == printed
    assert before == {path: path.stat().st_mtime_ns for path in (out / "folds").iterdir()}


def test_what_was_read_is_printed_before_anything_trains(files, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(Path(files[0]).parent)
    pattern = [
        "--data",
        "sub-?.npz",
        "--pipelines",
        "csp-lda",
        "--n-jobs",
        "1",
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(["compare", *pattern]) == 0  # as where the shell expands no patterns
    read, trained = capsys.readouterr().out.split("cross-subject: ")
    assert read.splitlines()[:5] == [
        "36 trials of 3 subjects: 5 channels, 250 samples at 125 Hz",
        "subjects: 1, 2, 3",
        "classes: left_hand 18, right_hand 18",
        "channels: FC3, C3, FC4, Cz, C4",
        "subject  sessions  runs  left_hand  right_hand   µV",
    ]
    rows = [line.split() for line in read.splitlines()[5:8]]
    assert [row[:5] for row in rows] == [[str(i), "1", "1", "6", "6"] for i in (1, 2, 3)]
    assert all(3 < float(row[5]) < 50 for row in rows)
    assert trained.startswith("3 subjects, 3 folds")


def test_the_sample_is_what_is_compared_without_arguments(tmp_path, capsys):
    command = ["compare", "--subjects", "1-2", "--epochs", "1", "--n-jobs", "1", "--out", str(tmp_path)]
    assert main([*command, "--pipelines", "csp-lda+ea"]) == 0
    assert "90 trials of 2 subjects: 21 channels, 656 samples at 160 Hz\n" in capsys.readouterr().out


def test_recordings_are_cut_by_events(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    info = mne.create_info(["C3", "C4", "Cz"], 128.0, "eeg")
    for seed, name in enumerate(("anna", "ben")):
        noise = np.random.default_rng(seed).standard_normal((3, 128 * 60)) * 1e-5
        raw = mne.io.RawArray(noise, info, verbose="error")
        raw.set_annotations(mne.Annotations(np.arange(2, 56, 4), 0, ["769", "770"] * 7))
        raw.save(f"{name}_raw.fif", verbose="error")
    command = ["compare", "--data", "*_raw.fif", "--pipelines", "csp-lda", "--n-jobs", "1"]
    cut = ["--events", "left=769,right=770", "--tmin", "0.5", "--tmax", "3", "--band", "4-38"]
    assert main([*command, *cut]) == 0
    told = capsys.readouterr().out
    assert "28 trials of 2 subjects: 3 channels, 320 samples at 128 Hz\nsubjects: anna, ben\n" in told
    assert "classes: left 14, right 14\n" in told
    with pytest.raises(SystemExit) as end:
        main(command)
    error = capsys.readouterr().err
    assert end.value.code == 2 and error.count("\n") == 1
    assert "anna_raw.fif: is a continuous recording (FIF)" in error and "mne.Epochs(raw" in error


def test_one_person_as_several_is_said_before_anything_trains(files, tmp_path, capsys):
    paths = [str(tmp_path / f"anna{i}.npz") for i in (1, 2, 3)]
    for old, new in zip(files, paths, strict=True):
        Path(new).write_bytes(Path(old).read_bytes())
    with pytest.raises(SystemExit):  # nothing is trained here
        main(["compare", "--data", *paths, "--cv", "cross-session", "--out", str(tmp_path / "out")])
    error = capsys.readouterr().err
    assert error.count("names like sessions, runs or spellings of one person: anna1, anna2, anna3") == 1


def test_the_seed_decides_the_simulation(tmp_path, capsys):
    def accuracy(seed):
        out = tmp_path / f"{seed}"
        data = ["--data", "simulated", "--subjects", "1-2"]
        main(["compare", *data, "--pipelines", "csp-lda", "--seed", seed, "--out", str(out)])
        capsys.readouterr()
        return pd.read_csv(out / "predictions.csv")["proba_left_hand"].to_numpy()

    first, second = accuracy("0"), accuracy("1")
    assert not np.array_equal(first, second)


def test_real_recordings_cross_subject(tmp_path, capsys):
    folder = mne.get_config("MNE_DATASETS_EEGBCI_PATH")
    if folder is None or not all(any(Path(folder).rglob(f"S00{s}R12.edf")) for s in (1, 2, 3)):
        pytest.skip("MNE_DATASETS_EEGBCI_PATH names no recordings of subjects 1 to 3")
    command = ["compare", "--data", "eegbci", "--subjects", "1-3", "--out", str(tmp_path)]
    assert (
        main([*command, "--pipelines", "csp-lda,attentionbasenet+ea", "--epochs", "3", "--n-jobs", "1"]) == 0
    )
    assert "135 trials of 3 subjects: 64 channels, 480 samples at 160 Hz" in capsys.readouterr().out
    predictions = pd.read_csv(tmp_path / "predictions.csv")
    counts = predictions.groupby(["pipeline", "subject", "run"]).size()
    assert len(counts) == 2 * 3 * 3 and (counts == 15).all()
    with pytest.raises(SystemExit) as end:
        main([*command, "--cv", "cross-session"])
    assert end.value.code == 2
    assert "at least 2 sessions" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: compare"),
        (["compare", "--subjects", "10-1"], "'10-1' is no subject or range; write 1-10 or 1,3,7"),
        (["compare", "--subjects", "0"], "'0' is no subject or range"),
        (["compare", "--subjects", "two"], "'two' is no subject or range"),
        (["compare", "--cv", "loso"], "choose from '?within-subject'?, '?cross-subject'?, '?cross-session'?"),
        (["compare", "--folds", "1"], "'1' must be an integer of at least 2"),
        (["compare", "--n-jobs", "0"], "'0' must be a positive integer, or -1"),
        (["compare", "--seed", "-1"], "'-1' must be an integer of at least 0"),
        (["compare", "--epochs", "many"], "'many' must be an integer of at least 1"),
        (
            ["compare", "--pipelines", "svm,lda"],
            "unknown svm, lda; choose from csp-lda, fbcsp-lda, mdm",
        ),
        (["compare", "--pipelines", ","], "no name given"),
        (["compare", "--pipelines", "attentionbasenet:sa"], "attentionbasenet:se, attentionbasenet:gsop"),
        (["compare", "--data", "nowhere-epo.fif"], "no file nowhere-epo.fif; give simulated, eegbci, or"),
        (["compare", "--data", __file__], r"is neither a .fif nor a .npz file"),
        (["compare", "--data", "eegbci", "--subjects", "110"], r"110.* choose from"),
        (["compare", "--subjects", "11"], r"subjects=\[11\] do not exist"),
        (["compare", "--band", "4-38"], "for your own recordings"),
        (["compare", "--data", "simulated", "--events", "l=1"], "for your own recordings"),
        (["compare", "--data", "eegbci", "--events", "l=1"], "for your own recordings"),
        (["compare", "--events", "l"], "'l' is no label=annotation; write left=769,right=770"),
        (["compare", "--band", "4"], "'4' is no band in Hz; write 4-38"),
        (["compare", "--data", "none-*.npz"], r"no file matches none-\*\.npz"),
        (["compare", "--data", "none-*.npz", __file__], r"no file matches none-\*\.npz"),
        (["compare", "--out", __file__], "is a file; give a folder"),
        (["compare", "--subjects", "1", "--cv", "cross-subject"], "needs at least 2 subjects"),
        (["compare", "--own-trials", "4"], "argument --own-trials: only for --cv calibration"),
        (["compare", "--cv", "calibration", "--own-trials", "1"], "'1' must be 0, at least 2, or all"),
        (["compare", "--cv", "calibration", "--own-trials", "4,some"], "'some' must be 0, at least 2"),
        (
            ["compare", "--subjects", "1-2", "--pipelines", "mdm+own"],
            r"mdm\+own: \+own is for cv='calibration'",
        ),
    ],
)
def test_a_wrong_argument_gets_one_line_and_exit_2(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("skeeg") and error.count("\n") == 1
    assert re.search(message, error), error


def test_files_that_cannot_answer_the_question_are_refused(files, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.savez("no_rate.npz", X=np.ones((4, 2, 100)), y=["a", "b"] * 2)
    for arguments, message in [
        (["--data", *files, "--cv", "cross-session"], "at least 2 sessions from every subject"),
        (["--data", *files, "--subjects", "1"], "only for --data simulated or eegbci"),
        (["--data", "no_rate.npz"], "no sampling rate"),
    ]:
        with pytest.raises(SystemExit) as end:
            main(["compare", *arguments])
        assert end.value.code == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1


def test_when_all_pipelines_fail_the_errors_are_told_and_the_exit_is_1(tmp_path, capsys):
    X = np.random.default_rng(0).standard_normal((8, 2, 50))
    for name in ("a", "b"):  # 20 Hz cannot hold the band from 8 to 30 Hz
        np.savez(tmp_path / f"{name}.npz", X=X, y=["l", "r"] * 4, sfreq=20)
    data = [str(tmp_path / f"{name}.npz") for name in ("a", "b")]
    status = main(["compare", "--data", *data, "--pipelines", "csp-lda", "--out", str(tmp_path / "out")])
    assert status == 1
    assert "csp-lda failed in 2 of 2 folds; in fold 0: ValueError" in capsys.readouterr().out
    assert (tmp_path / "out" / "scores.csv").exists()


def test_the_entry_point_is_installed_and_knows_its_version():
    (script,) = entry_points(group="console_scripts", name="skeeg")
    assert script.load() is main
    executable = Path(sys.executable).with_name("skeeg")
    told = subprocess.run([executable, "--version"], capture_output=True, text=True, check=True)
    assert told.stdout == f"skeeg {version('skeeg')}\n"


def test_help_names_every_option(capsys):
    with pytest.raises(SystemExit) as end:
        main(["compare", "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    for option in ("--data", "--subjects", "--pipelines", "--cv", "--n-jobs", "--out", "--seed", "--epochs"):
        assert option in text


def test_what_pipelines_warn_of_becomes_a_note(tmp_path, capsys):
    X = np.random.default_rng(0).standard_normal((8, 2, 50))
    X[:, 1] = 0  # a flat channel
    for name in ("a", "b"):
        np.savez(tmp_path / f"{name}.npz", X=X, y=["l", "r"] * 4, sfreq=100)
    data = [str(tmp_path / f"{name}.npz") for name in ("a", "b")]
    main(
        ["compare", "--data", *data, "--pipelines", "sstdpn", "--epochs", "1", "--out", str(tmp_path / "out")]
    )
    assert "note: sstdpn (2 folds): channels [1] are constant" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of Windows close otherwise")
@pytest.mark.parametrize("n_lines", [0, 2])
def test_a_reader_that_has_read_enough_ends_nothing(n_lines, files, tmp_path):
    program = "import sys; from skeeg.cli import main; sys.exit(main())"
    options = ["--pipelines", "csp-lda", "--out", tmp_path, "--n-jobs", "1"]
    command = [sys.executable, "-c", program, "compare", "--data", *files, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for _ in range(n_lines):
            process.stdout.readline()
        process.stdout.close()
        told = process.stderr.read()
    assert process.returncode == 0, told
    assert "Error" not in told
    assert (tmp_path / "confusion.png").exists()


def test_calibration_prints_and_draws_accuracy_over_own_trials(files, tmp_path, capsys):
    options = ["--cv", "calibration", "--own-trials", "0,2,all", "--folds", "2", "--n-jobs", "1"]
    options += ["--out", str(tmp_path)]
    names = ["csp-lda+ea", "mdm", "mdm+own"]
    assert main(["compare", "--data", *files, "--pipelines", ",".join(names), *options]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"accuracy \(%\) +0 +2 +all\n", printed)
    assert re.search(r"mdm\+own +– +\d+\.\d +\d+\.\d\n", printed)
    assert "mdm+own learns from own trials alone: undefined without any" in printed
    assert "written to" in printed and "learning.png, confusion.png" in printed
    scores = pd.read_csv(tmp_path / "scores.csv")
    own = scores[scores["pipeline"] == "mdm+own"].groupby("own_trials")["n_own_trials"].unique()
    assert {step: numbers.tolist() for step, numbers in own.items()} == {"2": [2], "all": [6]}
    assert min(png_size(tmp_path / "learning.png")) > 300


PROGRAM = "import sys; from skeeg.cli import main; sys.exit(main())"


@pytest.mark.parametrize("encoding", ["ascii", "cp932", "latin-1", "utf-8"])
def test_the_table_is_printed_with_the_letters_there_are(encoding, files, tmp_path, monkeypatch):
    stdout = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stdout)
    out = tmp_path / "Ergebnisse für あ"
    options = ["--pipelines", "csp-lda,mdm", "--n-jobs", "1", "--out", str(out)]
    assert main(["compare", "--data", *files, *options]) == 0
    text = stdout.buffer.getvalue().decode(encoding)
    between = " ± " if encoding == "utf-8" else "+/-"  # the others lack a letter of the table or of the path
    assert re.search(rf"mdm +\d+\.\d{re.escape(between)} *\d+\.\d", text), text
    widths = {len(line) for line in text.splitlines() if line.startswith(("pipeline ", "mdm ", "csp-lda "))}
    assert len(widths) == 1
    assert re.search(r"right_hand +(µV|uV)\n", text)
    assert "written to" in text and (out / "scores.csv").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_stdout_ends_nothing(files, tmp_path):
    options = ["--pipelines", "csp-lda", "--out", str(tmp_path), "--n-jobs", "1"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, "compare", "--data", *files, *options],
            stdout=full, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    assert done.returncode == 0
    assert "note: cannot print ([Errno 28]" in done.stderr and "Traceback" not in done.stderr
    assert (tmp_path / "confusion.png").exists()


def test_figures_that_cannot_be_written_do_not_lose_the_table(files, tmp_path, capsys):
    (tmp_path / "scores.png").mkdir()
    command = ["compare", "--data", *files, "--pipelines", "csp-lda", "--n-jobs", "1", "--out", str(tmp_path)]
    assert main(command) == 1
    told = capsys.readouterr()
    assert re.search(r"csp-lda +\d+\.\d ±", told.out) and "note: the figures could not be written" in told.err
    assert "differences.csv" in told.out and "scores.png" not in told.out


def test_labels_that_matplotlib_would_typeset_are_drawn(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for name in ("$a$", "b_{"):
        labels = ["$_left$", "$\\frac{$ " + "opening and closing of the right fist " * 3] * 6
        np.savez(tmp_path / f"{name}.npz", X=rng.standard_normal((12, 3, 200)), y=labels, sfreq=100)
    data = sorted(map(str, tmp_path.glob("*.npz")))
    options = ["--pipelines", "csp-lda", "--n-jobs", "1", "--out", str(tmp_path / "out")]
    assert main(["compare", "--data", *data, *options]) == 0
    assert min(png_size(tmp_path / "out" / "confusion.png")) > 300
    assert "Glyph" not in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_have_their_exit_codes(number, status, files, tmp_path, monkeypatch, capsys):
    real = CSP.fit
    fits = []

    def fit(self, X, y):
        fits.append(1)
        if len(fits) == 3:
            os.kill(os.getpid(), number)
        return real(self, X, y)

    monkeypatch.setattr(CSP, "fit", fit)
    command = ["compare", "--data", *files, "--pipelines", "csp-lda", "--n-jobs", "1", "--out", str(tmp_path)]
    assert main(command) == status
    told = capsys.readouterr().out
    assert "Interrupted: the same command goes on with the missing folds." in told
    assert re.search(r"csp-lda +\d+\.\d", told) and (tmp_path / "scores.csv").exists()
    assert len(list((tmp_path / "folds").iterdir())) == 2
    assert main(command) == 0
    assert len(fits) == 4


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_sigterm_while_data_are_read_ends_with_143(files, tmp_path, monkeypatch, capsys):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("skeeg.datasets.load_epochs", lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
    assert main(["compare", "--data", *files, "--out", str(tmp_path)]) == 143
    assert "Interrupted." in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before
