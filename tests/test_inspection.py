"""Displays draw what they were given."""

import io

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy.stats import t
from sklearn.calibration import calibration_curve
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix
from sklearn.pipeline import make_pipeline

from skeeg import Scaler, SSTDPNClassifier
from skeeg.evaluation import Comparison
from skeeg.evaluation.scoring import resolve
from skeeg.inspection import (
    CalibrationCurveDisplay,
    ConfusionMatricesDisplay,
    CriticalDifferenceDisplay,
    PairedScoresDisplay,
    ReliabilityDisplay,
    SubjectScoresDisplay,
    TimeDisplay,
    TrainingDisplay,
)


@pytest.fixture(autouse=True)
def agg(monkeypatch):
    matplotlib.use("Agg")
    settings = dict(matplotlib.rcParams)
    yield
    assert dict(matplotlib.rcParams) == settings, "a display changed matplotlib's settings"
    matplotlib.pyplot.close("all")


@pytest.fixture
def comparison():
    """Two pipelines on four subjects, three classes."""
    rng = np.random.default_rng(0)
    scores, predictions = [], []
    for subject in range(4):
        for name, skill in (("weak", 0.3), ("strong", 0.8)):
            y_true = np.repeat(["feet", "left", "right"], 10)
            y_pred = np.where(rng.random(30) < skill, y_true, rng.choice(["feet", "left", "right"], 30))
            scores.append((name, subject, subject, np.mean(y_true == y_pred), 1.0, 90, 30, ""))
            predictions.append(pd.DataFrame({"pipeline": name, "y_true": y_true, "y_pred": y_pred}))
    columns = ["pipeline", "subject", "fold", "accuracy", "fit_time", "n_train", "n_test", "error"]
    classes = np.array(["feet", "left", "right"])
    return Comparison(
        pd.DataFrame(scores, columns=columns), pd.concat(predictions), classes, 1 / 3, "cross-subject"
    )


def test_paired_scores_draw_a_line_a_subject_the_best_pipeline_first(comparison):
    display = PairedScoresDisplay.from_comparison(comparison)
    labels = [label.get_text() for label in display.ax_.get_xticklabels()]
    assert labels == ["strong", "weak"]
    accuracies = 100 * comparison.subject_accuracies()[labels].to_numpy()
    np.testing.assert_allclose([line.get_ydata() for line in display.lines_], accuracies)


def test_paired_scores_show_the_confidence_interval_of_the_mean_and_chance(comparison):
    display = PairedScoresDisplay.from_comparison(comparison, ax=Figure().subplots())
    strong = 100 * comparison.subject_accuracies()["strong"]
    marker, _, (bars,) = display.errorbar_
    assert marker.get_ydata()[0] == pytest.approx(strong.mean())
    expected = t.interval(0.95, 3, loc=strong.mean(), scale=strong.sem())
    np.testing.assert_allclose(bars.get_segments()[0][:, 1], expected)
    assert any(line.get_label() == "chance 33 %" for line in display.ax_.lines)


def test_paired_scores_leave_a_gap_where_a_subject_failed(comparison):
    comparison.scores.loc[0, ["accuracy", "error"]] = np.nan, "ValueError: no"
    display = PairedScoresDisplay.from_comparison(comparison)
    drawn = np.array([line.get_ydata() for line in display.lines_])
    assert np.isnan(drawn).sum() == 1
    assert np.isfinite(display.errorbar_[0].get_ydata()).all()


def test_means_are_over_the_subjects_that_every_pipeline_has(comparison):
    comparison.scores.loc[0, ["accuracy", "error"]] = np.nan, "ValueError: no"  # "weak" of subject 0
    display = PairedScoresDisplay.from_comparison(comparison, ax=Figure().subplots())
    means = dict(zip(display.accuracies, display.errorbar_[0].get_ydata(), strict=True))
    strong = 100 * comparison.subject_accuracies()["strong"]
    assert means["strong"] == pytest.approx(strong.loc[1:].mean()) != pytest.approx(strong.mean())


def whiskers_of(errorbar):
    return np.array([segment[:, 1] for segment in errorbar[2][0].get_segments()])


def test_whiskers_end_where_accuracies_do():
    accuracies = pd.DataFrame(
        {"all but perfect": [1.0, 1.0, 0.7], "hardly any": [0, 0.02, 0.3], "mid": [0.5, 0.5, 0.5]}
    )
    display = PairedScoresDisplay(accuracies, chance=0.5).plot(ax=Figure().subplots())
    low, high = whiskers_of(display.errorbar_).T
    assert high[0] == 100 and low[1] == 0 and low[2] == high[2] == 50
    half = t.ppf(0.975, 2) * 100 * accuracies["all but perfect"].sem()
    assert low[0] == pytest.approx(90 - half)
    one = PairedScoresDisplay(accuracies[:1], chance=0.5).plot(ax=Figure().subplots())
    np.testing.assert_array_equal(whiskers_of(one.errorbar_), [[100, 100], [0, 0], [50, 50]])


ODD = ["$_left$", r"$\frac{$", "_hidden", "a\nb", "imagined opening and closing of the left fist", ""]
DRAWN = ["$_left$", r"$\frac{$", "_hidden", "a b", "imagined openi…the left fist", ""]


def drawn(texts):
    assert not any(text.get_parse_math() for text in texts)
    return [text.get_text() for text in texts]


def test_names_are_drawn_as_they_are():
    paired = PairedScoresDisplay(pd.DataFrame({name: [0.5] for name in ODD}), chance=0.5, title="$_")
    paired.plot(ax=Figure().subplots())
    assert drawn(paired.ax_.get_xticklabels()) == DRAWN
    confusion = ConfusionMatricesDisplay({name: np.eye(6) for name in ODD}, ODD).plot(figure=Figure())
    assert drawn(confusion.axes_[0].get_yticklabels()) == DRAWN
    for ax in confusion.axes_:
        assert drawn(ax.get_xticklabels()) == DRAWN
    assert drawn([ax.title for ax in confusion.axes_]) == DRAWN
    for display in (paired, confusion):
        display.figure_.savefig(io.BytesIO())


# ----- calibration --------------------------------------------------------------------------------------


@pytest.fixture
def accuracies():
    """Three people, three pipelines, one of which begins with the first own trials."""
    names = [("pretrained", step) for step in ("0", "8", "16", "all")]
    names += [("_same$", step) for step in ("0", "8", "16", "all")] + [
        ("own", "8"),
        ("own", "16"),
        ("own", "all"),
    ]
    values = np.random.default_rng(0).uniform(0.5, 1, (3, 11))
    values[:, 4:8] = values[:, :4]  # as good as the first, number by number
    return pd.DataFrame(values, columns=pd.MultiIndex.from_tuples(names))


def test_calibration_curves_are_means_over_people(accuracies):
    display = CalibrationCurveDisplay(accuracies, chance=0.5, title="three").plot(ax=Figure().subplots())
    assert list(display.errorbars_) == ["pretrained", "_same$", "own"]
    for name, errorbar in display.errorbars_.items():
        np.testing.assert_allclose(errorbar[0].get_ydata(), 100 * accuracies[name].mean())
    assert drawn(display.ax_.get_legend().get_texts()) == ["pretrained", "_same$", "own", "chance 50 %"]
    assert [text.get_text() for text in display.ax_.get_xticklabels()] == ["0", "8", "16", "all"]
    np.testing.assert_array_equal(np.round(display.errorbars_["own"][0].get_xdata()), [1, 2, 3])
    display.figure_.savefig(io.BytesIO())


def test_calibration_curves_that_coincide_are_both_seen(accuracies):
    display = CalibrationCurveDisplay(accuracies, chance=0.5).plot()
    one, other = (display.errorbars_[name][0] for name in ("pretrained", "_same$"))
    assert (np.abs(one.get_xdata() - other.get_xdata()) > 0.05).all()
    looks = {(e[0].get_color(), e[0].get_marker(), e[0].get_linestyle()) for e in display.errorbars_.values()}
    assert len(looks) == 3


def test_twenty_curves_look_different():
    columns = pd.MultiIndex.from_product([[f"p{i}" for i in range(20)], ["0", "all"]])
    display = CalibrationCurveDisplay(pd.DataFrame(np.full((2, 40), 0.5), columns=columns), chance=0.5).plot()
    looks = {(e[0].get_color(), e[0].get_linestyle()) for e in display.errorbars_.values()}
    assert len(looks) == 20


def test_calibration_curves_leave_out_people_with_a_gap(accuracies):
    accuracies.loc[1, ("own", "8")] = np.nan
    display = CalibrationCurveDisplay(accuracies, chance=0.5).plot()
    expected = 100 * accuracies.loc[[0, 2], "pretrained"].mean()
    np.testing.assert_allclose(display.errorbars_["pretrained"][0].get_ydata(), expected)
    low, high = whiskers_of(display.errorbars_["pretrained"]).T
    assert low.min() >= 0 and high.max() <= 100


def test_confusion_matrices_are_percent_of_the_true_class(comparison):
    display = ConfusionMatricesDisplay.from_comparison(comparison)
    assert [ax.get_title() for ax in display.axes_] == ["strong", "weak"]
    of_weak = comparison.predictions.query("pipeline == 'weak'")
    expected = 100 * confusion_matrix(of_weak["y_true"], of_weak["y_pred"], normalize="true")
    np.testing.assert_allclose(display.displays_["weak"].confusion_matrix, expected)


def test_a_pipeline_that_failed_everywhere_has_no_confusion_matrix(comparison):
    comparison.predictions = comparison.predictions.query("pipeline == 'strong'")
    display = ConfusionMatricesDisplay.from_comparison(comparison, figure=Figure())
    assert list(display.displays_) == ["strong"]


def test_training_display_draws_the_history_of_a_network_in_a_pipeline():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((24, 3, 250)), np.tile(["a", "b"], 12)
    network = SSTDPNClassifier(max_epochs=3, train_split=0.25, random_state=0, verbose=0)
    pipeline = make_pipeline(Scaler(), network)
    with pytest.raises(NotFittedError):
        TrainingDisplay.from_estimator(pipeline)
    history = pipeline.fit(X, y)[-1].history_

    display = TrainingDisplay.from_estimator(pipeline)
    assert list(display.lines_) == ["train_loss", "valid_loss", "valid_accuracy"]
    for column, scale in (("train_loss", 1), ("valid_loss", 1), ("valid_accuracy", 100)):
        x, values = display.lines_[column].get_data()
        np.testing.assert_array_equal(x, [1, 2, 3])
        np.testing.assert_allclose(values, scale * history[column])
    lowest = history["epoch"][history["valid_loss"].idxmin()]
    assert TrainingDisplay(history).plot().best_.get_xdata()[0] == lowest
    assert display.best_.get_xdata()[0] == pipeline[-1].best_epoch_ == lowest
    pipeline[-1].best_epoch_ = 3  # as another monitor may have it
    assert TrainingDisplay.from_estimator(pipeline).best_.get_xdata()[0] == 3


def test_training_display_without_validation_draws_the_training_loss_alone():
    history = pd.DataFrame({"epoch": [1, 2, 3], "train_loss": [3.0, 2.0, 1.0]})
    ax = Figure().subplots()
    display = TrainingDisplay(history).plot(ax=ax)
    assert display.ax_ is ax and display.figure_ is ax.figure
    assert list(display.lines_) == ["train_loss"]
    assert display.ax_accuracy_ is None and display.best_ is None


def test_training_display_refuses_what_keeps_no_history():
    with pytest.raises(TypeError, match="LogisticRegression keeps no history_"):
        TrainingDisplay.from_estimator(LogisticRegression().fit([[0], [1]], [0, 1]))


# ----- people and ranks ---------------------------------------------------------------------------------


def test_the_map_of_scores_shows_each_subjects_accuracy(comparison):
    display = SubjectScoresDisplay.from_comparison(comparison)
    accuracies = comparison.subject_accuracies()[["strong", "weak"]]
    order = accuracies.mean(axis=1).sort_values().index
    np.testing.assert_allclose(display.image_.get_array(), 100 * accuracies.loc[order])
    written = [text.get_text() for text in display.ax_.texts]
    assert written == [f"{100 * value:.0f}" for value in accuracies.loc[order].to_numpy().ravel()]
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == list(map(str, order))


def test_ranks_and_their_critical_difference_are_those_computed_by_hand():
    accuracies = np.array(
        [[0.9, 0.8, 0.8, 0.5], [0.7, 0.9, 0.6, 0.5], [0.8, 0.7, 0.6, 0.4], [0.9, 0.8, 0.7, 0.6]]
    )
    rows = [
        (name, subject, subject, accuracies[subject, i], 1.0, 9, 10, "")
        for subject in range(4)
        for i, name in enumerate("abcd")
    ]
    columns = ["pipeline", "subject", "fold", "accuracy", "fit_time", "n_train", "n_test", "error"]
    comparison = Comparison(pd.DataFrame(rows, columns=columns), pd.DataFrame(), np.array([0, 1]), 0.5, "x")
    ranks, critical = comparison.ranks()
    # by hand: a 1, 2, 1, 1; b 2.5, 1, 2, 2; c 2.5, 3, 3, 3; d 4, 4, 4, 4
    assert ranks.to_dict() == {"a": 1.25, "b": 1.875, "c": 2.875, "d": 4.0}
    assert critical == pytest.approx(2.569 * np.sqrt(4 * 5 / (6 * 4)), abs=1e-3)  # q of 4 at 5 %: 2.569
    display = CriticalDifferenceDisplay.from_comparison(comparison, ax=Figure().subplots())
    assert display.groups_ == [("a", "b", "c"), ("b", "c", "d")]
    assert CriticalDifferenceDisplay(ranks, critical=1.0).plot().groups_ == [("a", "b"), ("b", "c")]
    assert CriticalDifferenceDisplay(ranks, critical=np.nan).plot().groups_ == []
    assert comparison.ranks("accuracy")[0].equals(ranks)


def test_accuracy_stands_over_the_time_of_a_fit(comparison):
    comparison.scores["fit_time"] = np.where(comparison.scores["pipeline"] == "weak", 0.0, 4.0)
    display = TimeDisplay.from_comparison(comparison, ax=Figure().subplots())
    means = comparison.summary()["accuracy"]
    for name, x in (("weak", 1e-3), ("strong", 4.0)):
        np.testing.assert_allclose(display.points_[name].get_data(), [[x], [100 * means[name]]])
    assert drawn(display.ax_.get_legend().get_texts()) == ["strong", "weak"]


def test_reliability_of_a_comparison_is_that_of_its_predictions(comparison):
    rng = np.random.default_rng(0)
    p = rng.uniform(0, 1, 400)
    y_true = np.where(rng.random(400) < p, "right", "left")
    table = pd.DataFrame({"pipeline": "it", "y_true": y_true, "proba_left": 1 - p, "proba_right": p})
    silent = table.assign(pipeline="silent", proba_left=np.nan, proba_right=np.nan)
    comparison.classes, comparison.predictions = np.array(["left", "right"]), pd.concat([table, silent])
    display = ReliabilityDisplay.from_comparison(comparison, ax=Figure().subplots())
    sure, right = np.maximum(p, 1 - p), (y_true == "right") == (p > 0.5)
    prob_true, prob_pred = calibration_curve(right, sure, n_bins=10, strategy="quantile")
    np.testing.assert_allclose(display.lines_["it"].get_data(), [100 * prob_pred, 100 * prob_true])
    assert list(display.lines_) == ["it"]


def test_scores_that_are_no_percent_are_drawn_as_they_are(comparison):
    comparison.scoring = resolve(["kappa", "accuracy"])
    comparison.predictions["subject"] = np.repeat(np.arange(4), 60)
    display = PairedScoresDisplay.from_comparison(comparison, ax=Figure().subplots())
    kappas = comparison.subject_scores("kappa")[["strong", "weak"]].to_numpy()
    np.testing.assert_allclose([line.get_ydata() for line in display.lines_], kappas)
    assert display.ax_.get_ylabel() == "Kappa"
    assert not any("chance" in str(line.get_label()) for line in display.ax_.lines)
