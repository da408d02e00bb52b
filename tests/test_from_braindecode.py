"""What users of braindecode bring: networks, data sets, transforms, splits."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch.dataset import ValidSplit
from skorch.helper import predefined_split
from test_any_network import Powers

import skeeg
from skeeg import EEGClassifier


def data(n=24):
    y = np.repeat(["left", "right"], n // 2)
    X = np.random.default_rng(0).standard_normal((n, 5, 200)).astype(np.float32)
    X[y == "left", 0] *= 3
    return X, y


def make(module=Powers, **params):
    return EEGClassifier(module, **{"max_epochs": 2, "lr": 0.01, "random_state": 0, **params})


@pytest.fixture
def braindecode():
    try:
        import braindecode
        import braindecode.augmentation
        import braindecode.datasets
        import braindecode.models
    except (ImportError, OSError) as error:  # OSError: torchaudio built for another torch
        pytest.skip(f"braindecode (skeeg's extra 'benchmark') cannot be imported: {error}")
    return braindecode


@pytest.mark.parametrize(
    ("name", "params"),
    [("EEGNet", {"module__F1": 4}), ("ShallowFBCSPNet", {"module__n_filters_time": 8})],
)
def test_its_networks_are_ordinary_estimators(name, params, braindecode, tmp_path):
    X, y = data()
    cls = getattr(braindecode.models, name)
    by_name, by_class = make(name, **params).fit(X, y), make(cls, **params).fit(X, y)
    expected = by_class.predict_proba(X)
    same = pickle.loads(pickle.dumps(by_class))
    for clf in (by_name, clone(by_class).fit(X, y), same):
        np.testing.assert_array_equal(clf.predict_proba(X), expected)
    np.testing.assert_array_equal(
        same.partial_fit(X, y).predict_proba(X), by_class.partial_fit(X, y).predict_proba(X)
    )
    by_name.save(tmp_path / "clf")
    with pytest.raises(ValueError, match=f"names the network '{name}'; hand its class over"):
        skeeg.load(tmp_path / "clf")
    loaded = skeeg.load(tmp_path / "clf", classes=[cls])
    np.testing.assert_array_equal(loaded.predict_proba(X), expected)
    torch.save(by_name.module_.state_dict(), tmp_path / "weights.pt")
    with pytest.warns(UserWarning, match="holds weights alone"):
        make(name, **params, pretrained=tmp_path / "weights.pt").fit(X, y)
    option, value = next(iter(params.items()))
    search = GridSearchCV(make(name, max_epochs=1), {option: [2, value]}, cv=2).fit(X, y)
    assert search.best_params_[option] in (2, value)


def test_a_wrong_name_or_argument_is_a_sentence(braindecode):
    with pytest.raises(ValueError, match="no network 'EEGnet'; did you mean 'EEGNet'"):
        make("EEGnet").fit(*data())
    with pytest.raises(ValueError, match="did you mean module__n_filters_time"):
        make("ShallowFBCSPNet", module__n_filter_time=3).fit(*data())


def test_without_braindecode_a_name_is_a_sentence(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "braindecode", None)
    with pytest.raises(
        ImportError, match="'EEGNet' names a network of braindecode, which cannot be imported"
    ):
        make("EEGNet").fit(*data())


def test_its_transforms_are_augmentations_that_the_seed_decides(braindecode):
    from braindecode.augmentation import ChannelsDropout, Compose, FTSurrogate, Mixup, SignFlip

    X, y = data()
    chosen = [Compose([FTSurrogate(0.5), ChannelsDropout(0.5, p_drop=0.5)]), SignFlip(0.5)]
    clf = make(augmentation=chosen)
    first = clf.fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(clone(clf).fit(X, y).predict_proba(X), first)
    np.testing.assert_array_equal(clf.fit(X, y).predict_proba(X), first)  # nothing was drawn from the user's
    assert (make().fit(X, y).predict_proba(X) != first).any()
    with pytest.raises(ValueError, match="Mixup mixes labels"):
        make(augmentation=Mixup(0.5)).fit(X, y)


def test_its_data_sets_of_windows_are_trials(braindecode):
    X, y = data()
    names = ["C3", "Cz", "C4", "P3", "P4"]
    windows = braindecode.datasets.create_from_X_y(
        X, [int(label == "right") for label in y], drop_last_window=False, sfreq=100, ch_names=names
    )
    clf = make().fit(windows)
    assert (clf.sfreq_, clf.ch_names_, clf.classes_.tolist()) == (100.0, tuple(names), [0, 1])
    assert clf.score(windows) == clf.score(X, (y == "right").astype(int))


def test_its_loader_is_refused_in_a_sentence(braindecode):
    with pytest.raises(ValueError, match=r"AugmentedDataLoader: give its transforms.*augmentation="):
        make(iterator_train=braindecode.augmentation.AugmentedDataLoader).fit(*data())


def test_no_network_is_an_augmentation():
    with pytest.raises(ValueError, match=r"augmentation holds ReLU\(\)"):
        make(augmentation=torch.nn.ReLU()).fit(*data())


def test_skorchs_split_holds_out_what_it_names():
    X, y = data()
    clf = make(train_split=ValidSplit(4, stratified=True), monitor="accuracy").fit(X, y)
    assert {"valid_loss", "valid_accuracy"} <= set(clf.history_)
    from skeeg.estimators.validation import split_trials

    codes = np.repeat([0, 1], 12)
    train, valid = split_trials(ValidSplit(4, stratified=True), codes)
    assert sorted([*train, *valid]) == list(range(24))
    assert np.bincount(codes[valid]).tolist() == [3, 3]


def test_validation_trials_from_elsewhere_and_names_of_scores_are_sentences():
    elsewhere = predefined_split(torch.utils.data.TensorDataset(torch.zeros(4, 5, 200), torch.zeros(4)))
    with pytest.raises(ValueError, match=r"predefined_split: put the validation trials into X"):
        make(train_split=elsewhere).fit(*data())
    with pytest.raises(ValueError, match=r'holds the text \'accuracy\'.*EpochScoring\("accuracy"\)'):
        make(callbacks=["accuracy"]).fit(*data())
