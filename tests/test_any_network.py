"""EEGClassifier(module=...): any torch module is an ordinary estimator, or is refused in a sentence."""

import functools
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from torch import nn

import skeeg
from skeeg import EEGClassifier
from skeeg.estimators.names import unknown
from skeeg.testing import eeg_checks


class Powers(nn.Module):
    def __init__(self, n_chans, n_outputs, n_filters=4, sfreq=None, chs_info=None):
        super().__init__()
        self.sfreq, self.chs_info = sfreq, chs_info
        self.spatial = nn.Conv1d(n_chans, n_filters, 1)
        self.final_layer = nn.Linear(n_filters, n_outputs)

    def forward(self, x):
        return self.final_layer(torch.log(self.spatial(x).square().mean(dim=-1) + 1e-6))


class Named(EEGClassifier):
    module = Powers


class Listed(EEGClassifier):
    module = Powers

    def __init__(self, n_filters=4, **training):
        super().__init__(**training)
        self.n_filters = n_filters


def data(n=24, n_chans=3):
    y = np.repeat(["left", "right"], n // 2)
    X = np.random.default_rng(0).standard_normal((n, n_chans, 64)).astype(np.float32)
    X[y == "left", 0] *= 3
    return X, y


def make(cls=EEGClassifier, module=Powers, **params):
    given = () if cls is not EEGClassifier else (module,)
    return cls(*given, **{"max_epochs": 2, "lr": 0.05, "random_state": 0, **params})


def test_three_ways_to_name_a_network_are_one():
    X, y = data()
    expected = make(Listed, n_filters=6).fit(X, y).predict_proba(X)
    for clf in (make(module__n_filters=6), make(Named, module__n_filters=6)):
        np.testing.assert_array_equal(clf.fit(X, y).predict_proba(X), expected)
    partial = make(module=functools.partial(Powers, n_filters=6)).fit(X, y)
    np.testing.assert_array_equal(partial.predict_proba(X), expected)


def test_it_is_cloned_searched_and_pickled():
    X, y = data()
    clf = make(module__n_filters=6).fit(X, y)
    assert clone(clf).get_params() == clf.get_params()
    assert clf.get_params()["module"] is Powers
    assert "module" not in Named().get_params()
    assert repr(make(module__n_filters=6)).startswith("EEGClassifier(")
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(clf)).predict_proba(X), clf.predict_proba(X))
    search = GridSearchCV(make(), {"module__n_filters": [1, 5], "module": [Powers]}, cv=2).fit(X, y)
    assert search.best_estimator_.module_.spatial.out_channels == search.best_params_["module__n_filters"]


@pytest.mark.parametrize("name", sorted(eeg_checks.keys() - {"processes"}))  # which takes long
def test_it_keeps_the_promises_of_estimators(name):
    eeg_checks[name](make(max_epochs=4, batch_size=16))


def test_a_file_names_the_class_and_the_reader_hands_it_over(tmp_path):
    X, y = data()
    clf = make(module__n_filters=6).fit(X, y)
    clf.save(tmp_path / "clf")
    with pytest.raises(ValueError, match=r"'Powers', .*hand it over: classes=\[Powers\]"):
        skeeg.load(tmp_path / "clf")
    same = skeeg.load(tmp_path / "clf", classes=[Powers])
    np.testing.assert_array_equal(same.predict_proba(X), clf.predict_proba(X))
    assert same.get_params()["module__n_filters"] == 6
    started = make(module__n_filters=6, pretrained=tmp_path / "clf", lr=1e-9, max_epochs=1).fit(X, y)
    np.testing.assert_allclose(started.predict_proba(X), clf.predict_proba(X), atol=1e-5)


def test_a_file_names_no_network_that_runs_unasked(tmp_path):
    X, y = data()
    clf = make().fit(X, y)
    clf.module = nn.Linear  # whose class files may name, as an activation is
    data_of_file = skeeg.persistence.to_bytes(clf)
    with pytest.raises(ValueError, match="names the network 'Linear'; hand its class over"):
        skeeg.persistence.from_bytes(data_of_file)


def test_what_the_data_say_is_not_said_otherwise():
    X, y = data()
    names = ["C3", "Cz", "C4"]
    trials = skeeg.EEGArray(X, 100.0, names)
    clf = make(module__n_chans=3).fit(trials, y)
    assert clf.module_.sfreq == 100.0
    assert make(sfreq=128).fit(X, y).module_.sfreq == 128  # arrays do not say it
    with pytest.raises(ValueError, match="parameter of the estimator itself: give sfreq"):
        make(module__sfreq=128).fit(X, y)
    located = [{"ch_name": name, "loc": np.zeros(12)} for name in names]
    assert make(module__chs_info=located).fit(trials, y).module_.chs_info[0]["loc"].shape == (12,)
    for wrong in ({"module__n_outputs": 3}, {"module__n_chans": 22}, {"module__chs_info": located[::-1]}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} says .*X and y say .*leave it out"):
            make(**wrong).fit(trials, y)


class Made(nn.Module):
    def __init__(self, in_chans, n_outputs):
        super().__init__()


@pytest.mark.parametrize(
    ("module", "params", "error", "message"),
    [
        (None, {}, TypeError, "EEGClassifier has no network: give module="),
        (3, {}, TypeError, "no network in module=3"),
        (dict, {}, TypeError, "no network in module=<class 'dict'>"),
        (Powers(3, 2), {}, ValueError, r"made already.*EEGClassifier\(Powers, module__"),
        (Powers, {"module__n_filter": 3}, ValueError, "did you mean module__n_filters\\? It takes"),
        (Made, {}, TypeError, "Made wants in_chans, which nobody gave: set module__in_chans"),
        (lambda n_chans: n_chans, {}, TypeError, "made a int, no torch.nn.Module"),
        ("SSTDPN", {}, ValueError, r"skeeg's own: SSTDPNClassifier\(\)"),
    ],
)
def test_what_is_no_network_is_refused_in_a_sentence(module, params, error, message):
    with pytest.raises(error, match=message):
        make(module=module, **params).fit(*data())


def test_a_subclass_keeps_its_network():
    with pytest.raises(TypeError, match=r"Named.s network is Powers: leave module out"):
        Named(module=Powers)
    with pytest.raises(ValueError, match="parameter of the estimator itself: give n_filters"):
        make(Listed, module__n_filters=3).fit(*data())
    warm = make(warm_start=True).fit(*data())
    with pytest.raises(ValueError, match=r"module=.*but the network was trained with module="):
        warm.set_params(module=Made).fit(*data())


# ----- bare weights ---------------------------------------------------------------------------------------


def save_torch(module, path):
    torch.save(module.state_dict(), path)


def save_safetensors(module, path):
    from safetensors.torch import save_file

    save_file(module.state_dict(), path)


def save_nested(module, path):
    torch.save({"epoch": 3, "state_dict": module.state_dict()}, path)


@pytest.mark.parametrize("write", [save_torch, save_safetensors, save_nested])
def test_a_state_dict_is_a_start(write, tmp_path):
    X, y = data()
    clf = make().fit(X, y)
    write(clf.module_, tmp_path / "weights")
    going_on = make(pretrained=tmp_path / "weights", lr=1e-9, max_epochs=1)
    with pytest.warns(UserWarning, match=r"weights alone: its channels.*classes to be \['left', 'right'\]"):
        going_on.fit(X, y)
    np.testing.assert_allclose(going_on.predict_proba(X), clf.predict_proba(X), atol=1e-5)
    with pytest.warns(UserWarning, match="its head is new"):
        other = clone(going_on).fit(X, np.resize(["a", "b", "c"], len(y)))
    torch.testing.assert_close(other.module_.spatial.weight, clf.module_.spatial.weight)
    with pytest.raises(ValueError, match=r"another network.*spatial.bias \(4,\), not \(5,\)"):
        clone(going_on).set_params(module__n_filters=5).fit(X, y)


def test_a_pickle_of_more_than_weights_is_not_run(tmp_path):
    torch.save(Powers(3, 2), tmp_path / "network.pt")
    with pytest.raises(ValueError, match=r"more than weights.*state_dict"):
        make(pretrained=tmp_path / "network.pt").fit(*data())
    broken = {name: value * float("nan") for name, value in Powers(3, 2).state_dict().items()}
    torch.save(broken, tmp_path / "broken.pt")
    with pytest.raises(ValueError, match=r"not finite, in \['final_layer.bias'"):
        make(pretrained=tmp_path / "broken.pt").fit(*data())
    torch.save({"lr": 0.1}, tmp_path / "numbers.pt")
    with pytest.raises(ValueError, match="holds no state_dict"):
        make(pretrained=tmp_path / "numbers.pt").fit(*data())


def test_weights_of_another_network_are_refused():
    class Others(Powers):
        pass

    trained = FrozenEstimator(make(module=Others).fit(*data()))
    with pytest.raises(ValueError, match="the pretrained network is a Others, not a Powers"):
        make(pretrained=trained).fit(*data())


# ----- names people type ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("epochs", "did you mean max_epochs?"),
        ("learning_rate", "did you mean lr?"),
        ("early_stopping", "did you mean patience (with train_split, such as 0.2)?"),
        ("criterion", "did you mean loss?"),
        ("batchsize", "did you mean batch_size?"),
        ("optimizer_betas", "did you mean optimizer__betas?"),
        ("dropout", "did you mean drop_prob_attn or drop_prob_inp?"),
        ("n_chans", "leave it out, X and y say it."),
    ],
)
def test_other_names_are_recognised(typed, meant):
    with pytest.raises(TypeError) as made:
        skeeg.AttentionBaseNetClassifier(**{typed: 1})
    with pytest.raises(ValueError, match="Invalid parameter") as found:
        skeeg.AttentionBaseNetClassifier().set_params(**{typed: 1})
    assert meant in str(made.value)
    assert meant in str(found.value)


def test_arguments_of_the_network_are_recognised():
    with pytest.raises(TypeError, match="argument of the network: give module__n_filters"):
        EEGClassifier(Powers, n_filters=3)


def test_what_is_listed_is_sorted():
    said = unknown("xyz", ["b", "a"], routed=["z", "y"])
    assert said == "Its parameters are: ['a', 'b'], and names that are handed on: y__..., z__..."
