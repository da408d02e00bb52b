"""Checks of estimators of EEG trials: what scikit-learn's ``check_estimator`` is for tables."""

from __future__ import annotations

import copy
import io
import pickle
import warnings
from contextlib import contextmanager

import joblib
import numpy as np
import torch
from scipy.special import expit
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from skorch.callbacks import Callback

from skeeg.preprocessing import Scaler

SFREQ = 100.0
CH_NAMES = ("C3", "Cz", "C4", "Pz")


def _trials(n_trials=24, n_chans=4, n_times=100, n_classes=2, seed=0):
    """Simulate trials in µV whose classes differ in the power of one channel each."""
    rng = np.random.default_rng(seed)
    y = np.arange(n_trials) % n_classes
    X = 10 * rng.standard_normal((n_trials, n_chans, n_times))
    X[np.arange(n_trials), y % n_chans] *= 3
    return X.astype(np.float32), y


def _epochs(X, y, ch_names=CH_NAMES, sfreq=SFREQ, event_id=None):
    import mne

    event_id = {"left": 1, "right": 2} if event_id is None else event_id
    events = np.column_stack([np.arange(len(y)), np.zeros(len(y), int), np.asarray(y) + 1])
    info = mne.create_info(list(ch_names), sfreq, "eeg")
    return mne.EpochsArray(X * 1e-6, info, events, event_id=event_id, verbose="error")


@contextmanager
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


@contextmanager
def _raises(errors, *words):
    try:
        with _quiet():
            yield
    except errors as error:
        missing = [word for word in words if word not in str(error)]
        assert not missing, f"the message does not say {missing}: {error}"
    else:
        raise AssertionError(f"no {errors} was raised where the message should say {words}")


def _fit(estimator, X, y=None, **metadata):
    with _quiet():
        return clone(estimator).fit(X, y, **metadata)


def check_refit(estimator):
    """A second fit on another montage, length and labels starts afresh."""
    X, y = _trials()
    other_X, other_y = _trials(n_trials=30, n_chans=6, n_times=128, n_classes=3, seed=1)
    refitted = _fit(estimator, X, y)
    with _quiet():
        refitted.fit(other_X, other_y)
    assert (refitted.n_chans_, refitted.n_times_, refitted.n_features_in_) == (6, 128, 768)
    np.testing.assert_array_equal(refitted.classes_, [0, 1, 2])
    fresh = _fit(estimator, other_X, other_y)
    np.testing.assert_array_equal(refitted.predict_proba(other_X), fresh.predict_proba(other_X))
    assert len(refitted.history_) == len(fresh.history_)


def check_parameters_stay(estimator):
    """fit leaves parameters alone; a clone of a fitted estimator is not fitted."""
    X, y = _trials()
    before = clone(estimator)
    fitted = _fit(estimator, X, y)
    assert str(fitted.get_params()) == str(before.get_params())
    assert repr(fitted) == repr(before)
    with _raises(NotFittedError):
        clone(fitted).predict(X)


def check_labels(estimator):
    """Labels of any kind come back, and do not change the model."""
    X, y = _trials()
    expected = _fit(estimator, X, y).predict_proba(X)
    for labels in ([769, 770], [-1, 1], [3, 700], ["left hand", "right hand"], [False, True], [1.0, 2.0]):
        labels = np.array(labels)
        fitted = _fit(estimator, X, labels[y])
        np.testing.assert_array_equal(fitted.classes_, labels)
        np.testing.assert_array_equal(fitted.predict_proba(X), expected)
        np.testing.assert_array_equal(fitted.predict(X), labels[expected.argmax(axis=1)])
        assert fitted.predict(X).dtype == labels.dtype
        assert fitted.score(X, labels[y]) == np.mean(fitted.predict(X) == labels[y])
    objects = np.array(["left", "right"], dtype=object)[y]
    assert set(_fit(estimator, X, objects).predict(X)) <= {"left", "right"}
    np.testing.assert_array_equal(_fit(estimator, X, list(objects)).classes_, ["left", "right"])


def check_outputs(estimator):
    """Probabilities, logits, labels and features agree with one another."""
    for n_classes in (2, 3):
        X, y = _trials(n_classes=n_classes)
        fitted = _fit(estimator, X, y)
        proba, logits = fitted.predict_proba(X), fitted.decision_function(X)
        assert proba.shape == (len(X), n_classes)
        np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-5)
        np.testing.assert_allclose(np.exp(fitted.predict_log_proba(X)), proba, rtol=1e-4, atol=1e-6)
        if n_classes == 2:
            assert logits.shape == (len(X),)
            np.testing.assert_allclose(expit(logits), proba[:, 1], rtol=1e-4)
        else:
            np.testing.assert_array_equal(logits.argmax(axis=1), proba.argmax(axis=1))
        features = fitted.transform(X)
        assert features.shape == (len(X), len(fitted.get_feature_names_out()))
        assert np.isfinite(features).all()
        one_by_one = np.concatenate([fitted.predict_proba(trial[np.newaxis]) for trial in X])
        np.testing.assert_allclose(one_by_one, proba, rtol=1e-3, atol=1e-5)


def check_kinds_of_array(estimator):
    """The type, memory order and container of X do not matter; X is not changed."""
    X, y = _trials()
    X = np.round(X) + 0.0  # no negative zeros, which whole numbers do not have
    expected = _fit(estimator, X, y).predict_proba(X)
    read_only = X.copy()
    read_only.flags.writeable = False
    padded = np.zeros((len(X), 5, 200), dtype=np.float32)
    padded[:, :4, ::2] = X
    kinds = {
        "float64": X.astype(float),
        "int16": X.astype(np.int16),
        "Fortran order": np.asfortranarray(X),
        "a strided view": padded[:, :4, ::2],
        "read-only": read_only,
        "nested lists": X.tolist(),
        "a tensor": torch.from_numpy(X),
    }
    for name, kind in kinds.items():
        fitted = _fit(estimator, kind, y)
        np.testing.assert_array_equal(fitted.predict_proba(kind), expected, err_msg=name)
    np.testing.assert_array_equal(padded[:, :4, ::2], X)


def check_randomness(estimator):
    """random_state decides everything; the global generators are neither read nor changed."""
    X, y = _trials()
    seeded = clone(estimator).set_params(random_state=3)
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - the global generator is what is checked
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = _fit(seeded, X, y)
    assert torch.equal(torch.get_rng_state(), before[0]), "fit changed torch's generator"
    assert np.array_equal(np.random.get_state()[1], before[1]), "fit changed NumPy's generator"  # noqa: NPY002
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    np.testing.assert_array_equal(_fit(seeded, X, y).predict_proba(X), first.predict_proba(X))
    other = _fit(clone(seeded).set_params(random_state=4), X, y)
    assert not np.array_equal(other.predict_proba(X), first.predict_proba(X))
    order = np.random.default_rng(0).permutation(len(X))
    shuffled = _fit(seeded, X[order], y[order])
    np.testing.assert_array_equal(shuffled.predict_proba(X), first.predict_proba(X))


def _fit_elsewhere(estimator, X, y):
    fitted = _fit(estimator, X, y)
    return repr(fitted), list(fitted.get_params()), fitted.predict_proba(X)


def check_processes(estimator):
    """Other processes train the same model, to the bit."""
    X, y = _trials()
    seeded = clone(estimator).set_params(random_state=3)
    here = _fit_elsewhere(seeded, X, y)
    for there in joblib.Parallel(n_jobs=2)(joblib.delayed(_fit_elsewhere)(seeded, X, y) for _ in range(2)):
        assert here[:2] == there[:2]
        np.testing.assert_array_equal(here[2], there[2])


def check_sample_weight(estimator):
    """A trial of weight zero is not there; weights matter up to scale."""
    X, y = _trials()
    weights = np.where(np.arange(len(X)) < 4, 0.0, 1.0)
    dropped = _fit(estimator, X[4:], y[4:]).predict_proba(X)
    np.testing.assert_array_equal(_fit(estimator, X, y, sample_weight=weights).predict_proba(X), dropped)
    weights = np.linspace(0.5, 2.5, len(X))
    weighted = _fit(estimator, X, y, sample_weight=weights).predict_proba(X)
    assert not np.allclose(weighted, _fit(estimator, X, y).predict_proba(X), atol=1e-6)
    scaled = _fit(estimator, X, y, sample_weight=4 * weights).predict_proba(X)
    np.testing.assert_array_equal(scaled, weighted)
    repeated = _fit(estimator, np.concatenate([X, X[:5]]), np.concatenate([y, y[:5]])).predict_proba(X)
    copies = np.where(np.arange(len(X)) < 5, 2, 1)
    np.testing.assert_array_equal(_fit(estimator, X, y, sample_weight=copies).predict_proba(X), repeated)


def check_validation(estimator):
    """Validation trials are whole groups, and the best weights on them are restored."""
    X, y = _trials(n_trials=40)
    groups = np.arange(40) // 8
    without = clone(estimator).set_params(train_split=None)
    np.testing.assert_array_equal(
        _fit(without, X, y, groups=groups).predict_proba(X), _fit(without, X, y).predict_proba(X)
    )
    split = clone(estimator).set_params(train_split=0.2, patience=1, max_epochs=4)
    history = _fit(split, X, y, groups=groups).history_
    assert {"train_loss", "valid_loss", "valid_accuracy"} <= set(history)
    indices = clone(split).set_params(train_split=np.arange(8))
    fitted = _fit(indices, X, y)
    assert fitted.best_epoch_ == fitted.history_["valid_loss"].idxmin() + 1
    validated = fitted.predict_log_proba(X[:8])[np.arange(8), y[:8]]
    if estimator.loss == "cross_entropy" and estimator.label_smoothing == 0:
        np.testing.assert_allclose(-validated.mean(), fitted.history_["valid_loss"].min(), rtol=1e-3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clone(split).fit(X[:3], y[:3])
    assert any("too few" in str(warning.message) for warning in caught)


def check_metadata_routing(estimator):
    """groups and weights reach fit through pipelines and cross-validation."""
    X, y = _trials(n_trials=32)
    groups = np.arange(32) // 8
    with config_context(enable_metadata_routing=True), _quiet():
        pipe = make_pipeline(
            Scaler(),
            clone(estimator).set_fit_request(sample_weight=True).set_score_request(sample_weight=True),
        )
        scores = cross_val_score(
            pipe,
            X,
            y,
            cv=GroupKFold(2),
            params={"groups": groups, "sample_weight": np.ones(32)},
            error_score="raise",
        )
    assert len(scores) == 2


def check_epochs(estimator):
    """Epochs give labels, µV, channel names and sampling rate, alone and through searches."""
    X, y = _trials()
    estimator = clone(estimator)
    epochs = _epochs(X, y)
    fitted = _fit(estimator, epochs)
    np.testing.assert_array_equal(fitted.classes_, ["left", "right"])
    assert fitted.ch_names_ == CH_NAMES
    assert fitted.sfreq_ == SFREQ
    from_array = _fit(estimator, X, y)
    np.testing.assert_allclose(fitted.predict_proba(epochs), from_array.predict_proba(X), atol=2e-3)
    assert fitted.score(epochs) == np.mean(fitted.predict(epochs) == np.array(["left", "right"])[y])
    order = ["Pz", "C4", "C3", "Cz"]
    reordered = epochs.copy().reorder_channels(order)
    np.testing.assert_array_equal(fitted.predict_proba(reordered), fitted.predict_proba(epochs))
    with _raises(ValueError, "Oz", "Pz"):
        fitted.predict(_epochs(X, y, ch_names=("C3", "Cz", "C4", "Oz")))
    with _raises(ValueError, "128", "100"):
        fitted.predict(_epochs(X, y, sfreq=128.0))
    with _quiet():
        assert len(cross_val_score(estimator, epochs, y, cv=2, error_score="raise")) == 2
        pipe = make_pipeline(Scaler(), clone(estimator)).fit(epochs)
        assert set(pipe.predict(epochs)) <= {"left", "right"}
        search = GridSearchCV(pipe, {f"{pipe.steps[-1][0]}__lr": [1e-3, 1e-2]}, cv=2, error_score="raise")
        assert search.fit(epochs, epochs.events[:, 2]).best_score_ > 0


def check_copies(estimator):
    """Pickled, dumped and copied estimators predict the same."""
    X, y = _trials()
    fitted = _fit(estimator, X, y)
    expected = fitted.predict_proba(X)
    buffer = io.BytesIO()
    joblib.dump(fitted, buffer)
    buffer.seek(0)
    for twin in (pickle.loads(pickle.dumps(fitted)), joblib.load(buffer), copy.deepcopy(fitted)):
        np.testing.assert_array_equal(twin.predict_proba(X), expected)
        with _quiet():
            assert len(twin.partial_fit(X, y).history_) == len(fitted.history_) + 1
    np.testing.assert_array_equal(fitted.predict_proba(X), expected)


def check_bad_input(estimator):
    """Bad input gets a clear error and leaves a fitted estimator as it was."""
    from scipy import sparse

    X, y = _trials()
    fitted = _fit(estimator, X, y)
    expected, params = fitted.predict_proba(X), str(fitted.get_params())
    holed, infinite = X.copy(), X.copy()
    holed[3, 1, 5], infinite[3, 1, 5] = np.nan, np.inf
    bad = [
        ((holed, y), ValueError, "NaN"),
        ((infinite, y), ValueError, "infinity"),
        ((X[:0], y[:0]), ValueError, "0 sample(s)"),
        ((X[:, :0], y), ValueError, "0 channel(s)"),
        ((X[:, :, :0], y), ValueError, "0 feature(s)"),
        ((X[0, 0], y), ValueError, "1-dimensional"),
        ((X[:, 0], y), ValueError, "2-dimensional"),
        ((X[np.newaxis], y), ValueError, "4-dimensional"),
        ((X.astype(complex), y), ValueError, "Complex"),
        ((sparse.csr_matrix(X[:, 0]), y), TypeError, "parse"),
        (([[[1, 2], [3]], [[1], [2, 3]]], y[:2]), ValueError, "unequal"),
        ((X.astype(str), y), ValueError, "text"),
        ((X, np.zeros(len(y))), ValueError, "1 class"),
        ((X, y[:-1]), ValueError, str(len(y) - 1)),
        ((X, y + 0.5), ValueError, "continuous"),
        ((X, np.where(y == 0, np.nan, 1.0)), ValueError, "NaN"),
        ((X, None), ValueError, "requires y"),
        ((X, y, np.zeros(len(y))), ValueError, "zero"),
        ((X, y, -np.ones(len(y))), ValueError, "negative"),
    ]
    for arguments, error, words in bad:
        with _raises(error, words):
            fitted.fit(*arguments)
    for name, value in (
        ("lr", -1),
        ("max_epochs", 2.5),
        ("batch_size", 0),
        ("optimizer", "adamm"),
        ("train_split", 1.5),
        ("device", "abacus"),
        ("class_weight", {"nobody": 1}),
        ("random_state", "seed"),
    ):
        original = fitted.get_params()[name]
        with _raises((ValueError, TypeError), name):
            fitted.set_params(**{name: value}).fit(X, y)
        fitted.set_params(**{name: original})
    with _raises(ValueError, "5 channels", "4 x 100"):
        fitted.predict(np.concatenate([X, X[:, :1]], axis=1))
    with _raises(ValueError, "90 samples", "4 x 100"):
        fitted.predict(X[:, :, :90])
    with _raises(ValueError, "NaN"):
        fitted.predict(holed)
    with _raises(ValueError, "not in"):
        fitted.partial_fit(X, y + 5)
    with _raises(TypeError, "learning_rate"):
        type(estimator)(learning_rate=1)
    for method in ("predict", "predict_proba", "decision_function", "transform", "score"):
        with _raises(NotFittedError):
            getattr(clone(estimator), method)(*((X, y) if method == "score" else (X,)))
    np.testing.assert_array_equal(fitted.predict_proba(X), expected)
    assert str(fitted.get_params()) == params


def check_units(estimator):
    """Volts and dead channels are pointed out."""
    X, y = _trials()
    dead = X.copy()
    dead[:, 2] = 0
    for trials, words in ((X * 1e-6, "volts"), (dead, "constant")):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fitted = clone(estimator).fit(trials, y)
        assert any(words in str(warning.message) for warning in caught), f"no warning of {words}"
        assert np.isfinite(fitted.predict_proba(trials)).all()


def check_continued_training(estimator):
    """warm_start and partial_fit go on from where training stopped."""
    X, y = _trials()
    warm = _fit(clone(estimator).set_params(warm_start=True), X, y)
    n_epochs, module = len(warm.history_), warm.module_
    with _quiet():
        warm.fit(X, y)
        assert warm.module_ is module
        assert len(warm.history_) == 2 * n_epochs
        stream = clone(estimator)
        stream.partial_fit(X[:4], [0, 0, 0, 0], classes=[0, 1])
        before = stream.predict_proba(X)
        stream.partial_fit(X, y)
    assert len(stream.history_) == 2
    assert not np.array_equal(stream.predict_proba(X), before)


class _Interrupt(Callback):
    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 2:
            raise KeyboardInterrupt


class _Explosion(Callback):
    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 3:
            with torch.no_grad():
                next(net.module_.parameters()).fill_(torch.nan)


def check_interruption(estimator):
    """Ctrl-C and divergence leave a usable estimator, and say so."""
    X, y = _trials()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        stopped = clone(estimator).set_params(callbacks=[_Interrupt()], max_epochs=5).fit(X, y)
    assert len(stopped.history_) == 2
    assert any("stopped after 2" in str(warning.message) for warning in caught)
    assert np.isfinite(stopped.predict_proba(X)).all()
    diverging = clone(estimator).set_params(callbacks=[_Explosion()], max_epochs=5)
    with _raises(FloatingPointError, "loss of epoch 3 is nan", "weights of epoch 1"):
        diverging.fit(X, y)
    once = _fit(clone(estimator).set_params(lr_schedule="constant", max_epochs=1), X, y)
    diverging.set_params(lr_schedule="constant")
    with _raises(FloatingPointError):
        diverging.fit(X, y)
    np.testing.assert_array_equal(diverging.predict_proba(X), once.predict_proba(X))


def check_composition(estimator):
    """The net is a feature extractor in a Pipeline, and its parameters can be searched."""
    X, y = _trials()
    with _quiet():
        pipe = make_pipeline(Scaler(), clone(estimator), LogisticRegression()).fit(X, y)
        assert pipe.predict(X).shape == (len(X),)
        search = GridSearchCV(clone(estimator), {"lr": [1e-4, 1e-2], "optimizer__eps": [1e-8]}, cv=2)
        assert search.fit(X, y).best_params_["optimizer__eps"] == 1e-8
    balanced = _fit(clone(estimator).set_params(class_weight="balanced"), X[:20], y[:20])
    assert np.isfinite(balanced.predict_proba(X)).all()


eeg_checks = {
    "refit": check_refit,
    "parameters_stay": check_parameters_stay,
    "labels": check_labels,
    "outputs": check_outputs,
    "kinds_of_array": check_kinds_of_array,
    "randomness": check_randomness,
    "processes": check_processes,
    "sample_weight": check_sample_weight,
    "validation": check_validation,
    "metadata_routing": check_metadata_routing,
    "epochs": check_epochs,
    "copies": check_copies,
    "bad_input": check_bad_input,
    "units": check_units,
    "continued_training": check_continued_training,
    "interruption": check_interruption,
    "composition": check_composition,
}


def check_eeg_estimator(estimator) -> None:
    """Check that an estimator of trials behaves, as a user of scikit-learn and EEG would expect.

    Parameters
    ----------
    estimator : EEGClassifier
        An instance that trains in well under a second on 24 trials of 4 channels x 100 samples at 100 Hz:
        few epochs, a ``random_state``, ``verbose=0``, and ``sfreq=100`` where the network needs it.

    Raises
    ------
    AssertionError
        With the names of the checks that failed and what they found.

    Notes
    -----
    The checks are in the dict ``eeg_checks``, by name, for ``pytest.mark.parametrize``. They call ``fit``
    some hundred times.

    Examples
    --------
    >>> from skeeg import AttentionBaseNetClassifier
    >>> from skeeg.testing import eeg_checks
    >>> eeg_checks["outputs"](AttentionBaseNetClassifier(max_epochs=2, random_state=0, verbose=0))
    """
    failures = []
    for name, check in eeg_checks.items():
        try:
            check(estimator)
        except Exception as error:
            failures.append(f"{name}: {type(error).__name__}: {error}")
    if failures:
        raise AssertionError(f"{len(failures)} of {len(eeg_checks)} checks failed:\n" + "\n".join(failures))
