"""Pipelines on streams, held against cues: what is counted, by hand; real recordings; the figure."""

import mne
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from skeeg.baselines import make_csp_lda
from skeeg.datasets import make_motor_imagery
from skeeg.inspection import LiveAccuracyDisplay
from skeeg.live import LiveDecoder, LiveResult, evaluate_live

EVENTS = {"left_hand": "T1", "right_hand": "T2"}


@pytest.fixture(scope="module")
def simulated():
    """A pipeline, and recordings of 2 s of class after 2 s of nothing known."""
    X, y, _ = make_motor_imagery(1, 84, n_chans=4, sfreq=100, duration=2, difficulty=0.0, random_state=0)
    pipeline = make_csp_lda().fit(X[:60], y[:60])
    raws = []
    for rows in (range(60, 72), range(72, 84)):
        info = mne.create_info(list(X.ch_names), 100, "eeg")
        raw = mne.io.RawArray(np.concatenate(np.asarray(X[rows]), axis=1) * 1e-6, info, verbose="error")
        what = [{"left_hand": "T1", "right_hand": "T2"}[label] for label in y[rows]]
        what[1::3] = ["T0"] * len(what[1::3])
        raws.append(raw.set_annotations(mne.Annotations(2.0 * np.arange(12), 2.0, what)))
    return pipeline, raws


def test_windows_are_those_of_the_decoder(simulated):
    pipeline, raws = simulated
    result = evaluate_live(pipeline, raws[0], EVENTS, resting="T0", step=0.2, threshold=0.6, cued=False)
    decoder = LiveDecoder(pipeline, sfreq=100, ch_names=raws[0].ch_names, step=0.2, threshold=0.6)
    decisions = decoder.push(raws[0].get_data() * 1e6)
    assert len(result.windows) == len(decisions)
    for (_, row), decision in zip(result.windows.iterrows(), decisions, strict=True):
        event = int(np.ceil(decision.time / 2 - 1e-9)) - 1
        assert (row["event"], row["since"]) == (event, pytest.approx(decision.time - 2 * event))
        what = raws[0].annotations.description[event]
        assert row["cue"] == {"T1": "left_hand", "T2": "right_hand"}.get(what) or what == "T0"
        assert row["label"] == decision.label or decision.label is None
        assert row["best"] == decoder.classes_[decision.probabilities.argmax()]
    assert len(result.latencies) == len(decisions)
    assert (result.latencies["ms"] > 0).all()


def test_a_cue_begins_smoothing_anew(simulated):
    pipeline, raws = simulated
    result = evaluate_live(pipeline, raws[0], EVENTS, step=0.5, time_constant=1e6)
    ends = result.windows[result.windows["since"] == 0.5].set_index("event")["best"]
    alone = evaluate_live(pipeline, raws[0], EVENTS, step=0.5, smoothing=None)
    assert ends.equals(alone.windows[alone.windows["since"] == 0.5].set_index("event")["best"])
    full = alone.over_time()
    assert full[full["since"] == 2.0]["accuracy"].iloc[0] > 0.8
    assert full["since"].tolist() == [0.5, 1.0, 1.5, 2.0]


def test_recordings_of_a_person_go_on(simulated):
    pipeline, raws = simulated
    settings = {"step": 0.5, "resting": "T0"}
    both = evaluate_live(pipeline, raws, EVENTS, persons=["anna", "anna"], **settings)
    apart = [evaluate_live(pipeline, raw, EVENTS, **settings) for raw in raws]
    for recording, alone in enumerate(apart):
        rows = both.windows[both.windows["recording"] == recording].reset_index(drop=True)
        # no alignment in it: nothing of the person but what is usual of artefacts
        assert rows[["event", "since", "best"]].equals(alone.windows[["event", "since", "best"]])
    assert both.persons()["person"].tolist() == ["anna"]


def by_hand(rows, **changes):
    known = {"pipeline": "p", "person": 0, "recording": 0, "said": "", "window": 1.0}
    windows = pd.DataFrame(
        [known | dict(zip(("event", "cue", "since", "best", "label"), row, strict=True)) for row in rows]
    )
    latencies = pd.DataFrame({"pipeline": "p", "ms": [1.0, 2.0, 3.0]})
    return LiveResult(windows, latencies, ["a", "b"], **{"step": 0.5, "tmin": 0.0, "tmax": 2.0} | changes)


ROWS = [
    (0, "a", 0.5, "b", "b"), (0, "a", 1.0, "a", "a"), (0, "a", 1.5, "a", None), (0, "a", 2.0, "a", "a"),
    (1, "b", 0.5, "b", None), (1, "b", 1.0, "b", "b"), (1, "b", 1.5, "b", "b"), (1, "b", 2.0, "a", "a"),
    (2, "a", 0.5, "a", None), (2, "a", 1.0, "a", None), (2, "a", 1.5, None, None), (2, "a", 2.0, "a", None),
    (3, None, 0.5, "a", "a"), (3, None, 1.0, "a", "a"), (3, None, 1.5, "b", "b"), (3, None, 2.0, "b", "b"),
]  # fmt: skip


def test_what_is_counted():
    (row,) = by_hand(ROWS).persons().to_dict("records")
    assert row["accuracy (%)"] == pytest.approx(200 / 3)  # at 2.0: a, a, a for a, b, a
    assert row["decided (%)"] == pytest.approx(200 / 3)
    assert row["right (%)"] == 50.0  # b for a, b for b
    assert row["time (s)"] == 0.75
    assert row["false/min"] == pytest.approx(2 / (3 * 0.5 / 60))  # a, then b, in the last three windows
    assert row["ITR (bits/min)"] == 0.0

    (row,) = by_hand(ROWS, tmin=1.0).persons().to_dict("records")  # a for a, b for b; nothing
    assert (row["right (%)"], row["time (s)"]) == (100.0, 1.0)
    assert row["ITR (bits/min)"] == pytest.approx(60 * (2 / 3) * 1.0 / ((1.0 + 1.0 + 2.0) / 3))
    wrong = [*ROWS, (4, "a", 2.0, "b", "b"), (5, "a", 2.0, "a", "a")]
    (row,) = by_hand(wrong, tmin=1.0).persons().to_dict("records")
    bits = 1 + 0.75 * np.log2(0.75) + 0.25 * np.log2(0.25)
    assert row["ITR (bits/min)"] == pytest.approx(60 * 0.8 * bits / ((1 + 1 + 2 + 2 + 2) / 5))
    assert by_hand(ROWS).summary()["p50 (ms)"].iloc[0] == 2.0
    quiet = [(e, c, s, b, None) for e, c, s, b, _ in ROWS]
    (row,) = by_hand(quiet).persons().to_dict("records")
    assert (row["decided (%)"], row["false/min"], row["ITR (bits/min)"]) == (0.0, 0.0, 0.0)
    over = by_hand(ROWS).over_time().set_index("since")
    assert over.loc[0.5, "accuracy"] == pytest.approx(2 / 3)
    assert over.loc[1.5, "n_trials"] == 2
    assert "1 people, 2 classes" in str(by_hand(ROWS))


def test_recordings_that_answer_nothing(simulated):
    pipeline, raws = simulated
    for arguments, settings, message in (
        ((raws[0], {"left_hand": "769"}), {}, "no annotation of events; it has"),
        ((raws[0], {"feet": "T1"}), {}, "none of its classes"),
        ((raws, EVENTS), {"persons": [1]}, "1 persons for 2 recordings"),
        ((raws[0], EVENTS), {"resting": "T1"}, "marks a class too"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate_live(pipeline, *arguments, **settings)


def test_the_figure_shows_people_and_windows(simulated):
    pipeline, raws = simulated
    result = evaluate_live({"one": pipeline, "$two$": pipeline}, raws, EVENTS, step=0.5)
    display = LiveAccuracyDisplay.from_result(result, ax=Figure().subplots())
    assert list(display.lines_) == ["one", "$two$"]
    over = result.over_time()
    expected = over[over["pipeline"] == "one"].groupby("since")["accuracy"].mean() * 100
    np.testing.assert_allclose(display.lines_["one"].get_ydata(), expected)
    assert display.ax_.get_title() == "2 people"
