"""`skeeg inspect` writes each figure with its table, and says what a decoder does not have."""

import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline

import skeeg
from skeeg import AttentionBaseNetClassifier, Scaler
from skeeg.cli import main
from skeeg.datasets import load_motor_imagery


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    X, y, _ = load_motor_imagery([6])
    network = AttentionBaseNetClassifier(n_temporal_filters=4, max_epochs=2, random_state=0, verbose=0)
    path = tmp_path_factory.mktemp("models") / "mine.safetensors"
    skeeg.save(make_pipeline(Scaler(), network).fit(X, y), path)
    return path


def test_figures_and_tables(model, tmp_path, capsys):
    status = main(["inspect", str(model), "--data", "sample", "--subjects", "1,2", "--out", str(tmp_path)])
    said, noted = capsys.readouterr()
    assert status == 0 and "importance_bands_times.png" in said
    assert "note: no attention: attention_mode=None" in noted
    for name in ("patterns", "spectra", "prototypes", "importance_channels", "importance_times"):
        assert (tmp_path / f"{name}.png").stat().st_size > 5000
        assert len(pd.read_csv(tmp_path / f"{name}.csv")) >= 2
    table = pd.read_csv(tmp_path / "importance_channels.csv")
    assert len(table) == 21 and set(table["n_people"]) == {2}
    assert "C3" in pd.read_csv(tmp_path / "patterns.csv").columns


@pytest.mark.parametrize(
    ("model_name", "said"),
    [("nothing.safetensors", "no file"), ("left-right-foot", "left-right-foot"), ("README.md", "README.md")],
)
def test_what_is_no_model_is_said_in_one_line(model_name, said, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").write_text("nothing")
    with pytest.raises(SystemExit) as end:
        main(["inspect", model_name, "--data", "sample", "--subjects", "1"])
    error = capsys.readouterr().err
    assert end.value.code == 2 and said in error and error.count("\n") == 1


def test_trials_that_do_not_fit_are_said(model, capsys, tmp_path):
    with pytest.raises(SystemExit):
        main(
            ["inspect", str(model), "--data", "simulated", "--subjects", "1", "--out", str(tmp_path / "out")]
        )
    assert "channel" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
