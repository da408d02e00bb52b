"""Saved estimators come back as they were, or not at all."""

import copy
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import sklearn
import torch
from forging import forge
from pyriemann.estimation import Covariances
from pyriemann.tangentspace import TangentSpace
from sklearn.base import clone
from sklearn.decomposition import FastICA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback
from torch import nn

import skeeg
from skeeg import (
    AttentionBaseNetClassifier,
    EEGArray,
    EEGClassifier,
    EuclideanAlignment,
    FBLightConvNetClassifier,
    Scaler,
    SincShallowNetClassifier,
    SSTDPNClassifier,
    augmentation,
    baselines,
    preprocessing,
    recipes,
)
from skeeg.persistence import from_bytes, learned, to_bytes
from skeeg.persistence.format import place_of_sum, unpack

SMALL = {
    SSTDPNClassifier: {
        "n_fused_filters": 6,
        "temporal_conv_kernel_size": 15,
        "mvp_kernel_sizes": [20, 50],
        "spt_attn_global_context_kernel": 50,
    },
    AttentionBaseNetClassifier: {
        "n_temporal_filters": 4,
        "pool_length_inp": 20,
        "pool_stride_inp": 5,
        "pool_length": 4,
        "attention_mode": "srm",
    },
    SincShallowNetClassifier: {"num_time_filters": 4, "pool_size": 25},
    FBLightConvNetClassifier: {"n_bands": [(4, 8), (8, 12)], "win_len": 40},
}
NAMES = ["C3", "Cz", "C4"]


def data(n=20, labels=("left", "right"), seed=0):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.array(labels), n // len(labels))
    return EEGArray(10 * rng.standard_normal((len(y), 3, 120)).astype(np.float32), 100.0, NAMES), y


def make(cls=SSTDPNClassifier, **params):
    return cls(**{"max_epochs": 2, "random_state": 0, **SMALL[cls], **params})


def assert_same(one, other, X):
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))
    np.testing.assert_array_equal(one.predict(X), other.predict(X))
    assert one.predict(X).dtype == other.predict(X).dtype


@pytest.fixture(params=SMALL, ids=lambda cls: cls.__name__)
def cls(request):
    return request.param


@pytest.fixture
def path(tmp_path):
    return tmp_path / "estimator.safetensors"


# ----- what comes back ------------------------------------------------------------------------------------


def test_everything_that_was_learned_comes_back(cls, path):
    X, y = data()
    clf = make(cls, train_split=0.3, device="cpu", class_weight={"left": 2.0, "right": 1.0}).fit(X, y)
    assert clf.save(path) is None
    same = skeeg.load(path, device="cpu")
    assert type(same) is cls
    assert_same(clf, same, X)
    assert repr(same.get_params()) == repr(clf.get_params())
    for name in ("n_chans_", "n_times_", "n_features_in_", "sfreq_", "ch_names_", "best_epoch_", "device_"):
        assert getattr(same, name) == getattr(clf, name), name
    assert same.history == clf.history
    assert same.history_.equals(clf.history_)
    assert str(same.module_) == str(clf.module_)
    np.testing.assert_array_equal(same.transform(X), clf.transform(X))
    # names are known again: channels in another order are put in the learned one
    np.testing.assert_array_equal(same.predict_proba(X[:, ::-1]), clf.predict_proba(X))


def test_training_goes_on_as_if_never_saved(cls, path):
    X, y = data()
    clf = make(cls, warm_start=True, optimizer__betas=(0.8, 0.99)).fit(X, y)
    clf.save(path)
    same = skeeg.load(path)
    for estimator in (clf, same):
        estimator.partial_fit(X, y).fit(X, y)
    assert_same(clf, same, X)
    kept = ("epoch", "train_loss", "lr")
    assert [[row[k] for k in kept] for row in same.history] == [[row[k] for k in kept] for row in clf.history]


def test_an_optimizer_that_has_gathered_nothing_is_made_when_training_goes_on(path):
    X, y = data()
    clf = make(warm_start=True, lr=1e-3).fit(X, y)
    clf.optimizer_.state.clear()
    clf.save(path)
    same = skeeg.load(path)
    assert "optimizer_" not in vars(same)
    again = pickle.loads(pickle.dumps(same))
    for estimator in (clf, same, again):
        estimator.partial_fit(X, y).fit(X, y)
        assert_same(clf, estimator, X)
    gathered, expected = (estimator.optimizer_.state_dict()["state"] for estimator in (same, clf))
    assert str(gathered) == str(expected) and len(gathered)
    with pytest.raises(AttributeError, match="no optimizer_ before fit"):
        make().optimizer_  # noqa: B018


def test_training_that_fails_before_it_begins_leaves_a_loaded_network_as_it_was(path):
    X, y = data()
    clf = make().fit(X, y)
    clf.optimizer_.state.clear()
    clf.save(path)
    same = skeeg.load(path)
    with pytest.raises(ValueError, match="labels"):
        same.partial_fit(X, np.full(len(y), "up"))
    assert_same(clf.partial_fit(X, y), same.partial_fit(X, y), X)


def test_loading_leaves_random_generators_alone(path):
    X, y = data()
    make().fit(X, y).save(path)
    before = torch.random.get_rng_state(), np.random.mtrand._rand.get_state(legacy=False)
    skeeg.load(path)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    np.testing.assert_equal(np.random.mtrand._rand.get_state(legacy=False), before[1])


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["rest", "ça va", "手"]),
        np.array([-3, 7, 2**40]),
        np.array([1, 0, 2], dtype=np.uint8),
        np.array([False, True]),
        np.array([0.0, 1.0, 2.0], dtype=np.float32),
        np.array(["a", "bb"], dtype=object),
    ],
    ids=lambda labels: str(labels.dtype),
)
def test_labels_of_any_type(labels, path):
    X, y = data(labels=labels, n=12)
    clf = make(max_epochs=1).fit(X, y)
    clf.save(path)
    same = skeeg.load(path)
    assert same.classes_.dtype == clf.classes_.dtype
    assert same.classes_.tolist() == clf.classes_.tolist()
    assert_same(clf, same, X)


def test_parameters_of_every_kind(path):
    X, y = data()
    params = {
        "activation": nn.GELU,
        "loss": nn.CrossEntropyLoss,
        "optimizer": torch.optim.NAdam,
        "iterator_train": torch.utils.data.DataLoader,
        "train_split": StratifiedShuffleSplit(1, test_size=0.25, random_state=3),
        "random_state": np.random.RandomState(5),
        "criterion__label_smoothing": 0.1,
        "lr": np.float32(0.002),
        "max_epochs": np.int64(2),
        "mvp_kernel_sizes": (20, 50),
        "device": torch.device("cpu"),
        "augmentation": None,
    }
    clf = make(**params).fit(X, y)
    clf.save(path)
    same = skeeg.load(path)
    assert_same(clf, same, X)
    for name in ("activation", "loss", "optimizer", "iterator_train", "lr", "mvp_kernel_sizes"):
        assert getattr(same, name) == getattr(clf, name), name
    assert type(same.lr) is np.float32
    assert repr(same.train_split) == repr(clf.train_split)
    assert same.random_state.randint(10**6) == clf.random_state.randint(10**6)


class MoreThanScaler(Scaler):
    _learned = Scaler._learned | {"extra_": learned.anything}


def test_non_finite_and_nested_values(path):
    scaler = MoreThanScaler().fit(data()[0])
    scaler.extra_ = {"a": (1, [np.inf, -np.inf, np.nan]), 3: None, ("t", 1): np.zeros((0, 2))}
    skeeg.save(scaler, path)
    extra = skeeg.load(path, classes=[MoreThanScaler]).extra_
    assert extra["a"][0] == 1
    np.testing.assert_array_equal(extra["a"][1], [np.inf, -np.inf, np.nan])
    assert extra[3] is None
    assert extra["t", 1].shape == (0, 2)


def test_what_no_class_lists_is_refused_by_name(path):
    scaler = Scaler().fit(data()[0])
    scaler.extra_ = 1
    with pytest.raises(ValueError, match=r"Scaler has extra_, which Scaler does not list.*_learned"):
        skeeg.save(scaler, path)
    assert not path.exists()


def test_how_it_runs_is_the_loaders_choice(path):
    X, y = data()
    base = make().fit(X, y)
    params = {"device": torch.device("cpu"), "verbose": 0, "pretrained": FrozenEstimator(base)}
    clf = make(**params, callbacks="disable").fit(X, y)
    clf.set_params(compile=True, compile__backend="eager", callbacks__epoch_timer=None)
    clf.save(path)
    names = {name.partition("__")[0] for name in unpack(path.read_bytes(), "")[0]["params"]}
    assert not names & {"device", "verbose", "pretrained", "callbacks", "compile"}
    same = skeeg.load(path)
    fresh = SSTDPNClassifier()
    for name in ("device", "verbose", "pretrained", "callbacks", "compile"):
        assert getattr(same, name) == getattr(fresh, name), name
    assert not [name for name in same.get_params() if name.startswith(("compile__", "callbacks__"))]
    assert skeeg.load(path, device="cpu").device == "cpu"
    with pytest.raises(ValueError, match="device='nowhere' cannot be used here"):
        skeeg.load(path, device="nowhere")
    assert_same(clf.set_params(compile=False), same, X)


def test_whole_pipeline(path):
    X, y = data()
    pipe = make_pipeline(Scaler("robust"), EuclideanAlignment(), "passthrough", make()).fit(X, y)
    skeeg.save(pipe, path)
    same = skeeg.load(path)
    assert_same(pipe, same, X)
    assert repr(same) == repr(pipe)
    np.testing.assert_array_equal(same[0].center_, pipe[0].center_)


BANDS = [(4, 8), (8, 12)]
PIPELINES = {
    "csp": lambda: baselines.make_csp_lda(recenter=True),
    "fbcsp": lambda: baselines.make_fbcsp_lda(bands=BANDS, n_features=2),
    "mdm": baselines.make_mdm,
    "tangent": baselines.make_tangent_space_lr,
    "scaled": lambda: make_pipeline(
        preprocessing.BandPass(),
        Covariances("oas"),
        TangentSpace(),
        StandardScaler(),
        LogisticRegression(C=0.5),
    ),
    "svd": lambda: make_pipeline(
        preprocessing.BandPass(), Covariances(), TangentSpace(), LinearDiscriminantAnalysis(n_components=1)
    ),
    "recipe": lambda: recipes.sstdpn_iii_iva(
        **SMALL[SSTDPNClassifier], max_epochs=2, refit_epochs=0, random_state=0
    ),
}


@pytest.mark.parametrize("labels", [("left", "right"), ("feet", "left", "right")], ids=len)
@pytest.mark.parametrize("name", PIPELINES)
def test_pipelines_with_steps_of_other_libraries_come_back(name, labels, path):
    X, y = data(n=24, labels=labels)
    pipe = PIPELINES[name]().fit(X, y)
    skeeg.save(pipe, path)
    same = skeeg.load(path)
    assert_same(pipe, same, X)
    assert repr(same) == repr(pipe)
    again = clone(same).fit(X, y)
    np.testing.assert_allclose(again.predict_proba(X), pipe.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize(
    ("step", "name", "value", "message"),
    [
        (-1, "coef_", None, "coef_ is no array of float32 or float64"),
        (-1, "predict", 1, "does not learn"),
        (-1, "n_features_in_", 7, "has the shape"),
        (-1, "classes_", None, "no row of at least two labels"),
        (2, "filters_", None, "CSP.filters_ is no array"),
        (2, "log", True, "does not learn 'log'"),
    ],
)
def test_steps_of_other_libraries_learn_what_is_listed(step, name, value, message):
    X, y = data()
    good = to_bytes(baselines.make_csp_lda().fit(X, y))

    def change(document):
        document["estimator"]["params"]["steps"][step]["tuple"][1]["learned"][name] = value

    with pytest.raises(ValueError, match=message):
        from_bytes(forge(good, change))


@pytest.mark.parametrize(
    ("step", "name", "value"),
    [
        (-1, "solver", "x"),
        (-1, "covariance_estimator", {"object": "skeeg.Scaler", "params": {}, "learned": {}}),
        (1, "estimator", {"class": "torch.nn.ReLU"}),
        (1, "no_such", 1),
    ],
)
def test_parameters_of_steps_of_other_libraries_are_checked(step, name, value):
    X, y = data()
    good = to_bytes(baselines.make_csp_lda().fit(X, y))

    def change(document):
        document["estimator"]["params"]["steps"][step]["tuple"][1]["params"][name] = value

    with pytest.raises(ValueError, match="the file cannot be loaded"):
        from_bytes(forge(good, change))


def test_alignment_keeps_the_references_of_its_groups(path):
    X, _ = data()
    groups = np.repeat(["anna", "ben"], 10)
    ea = EuclideanAlignment().fit(X, groups=groups)
    skeeg.save(ea, path)
    np.testing.assert_array_equal(
        skeeg.load(path).transform(X, groups=groups), ea.transform(X, groups=groups)
    )


@pytest.mark.parametrize(
    "transformer",
    [
        Scaler("microvolt"),
        preprocessing.BandPass(8, 30),
        preprocessing.Resampler(50),
        preprocessing.Crop(0.1, 0.9),
        preprocessing.ExponentialMovingStandardizer(),
    ],
    ids=lambda transformer: type(transformer).__name__,
)
def test_every_transformer_comes_back(transformer, path):
    X, _ = data()
    transformer.fit(X)
    skeeg.save(transformer, path)
    same = skeeg.load(path)
    np.testing.assert_array_equal(same.transform(X), transformer.transform(X))
    assert vars(same.transform(X)).keys() == vars(transformer.transform(X)).keys()


@pytest.mark.parametrize("filters", [None, "chebyshev2", {"method": "iir", "phase": "zero"}], ids=str)
def test_filter_banks_come_back(filters, path):
    X, _ = data()
    bank = preprocessing.FilterBank([(4, 8), (8, 12)], filter_parameters=filters).fit(X)
    expected = bank.transform(X)
    skeeg.save(bank, path)
    same = skeeg.load(path)
    assert same.bands_ == [(4, 8), (8, 12)]
    assert repr(same) == repr(bank)
    np.testing.assert_array_equal(same.transform(X), expected)
    np.testing.assert_array_equal(copy.deepcopy(same).transform(np.asarray(X)), expected)


@pytest.mark.parametrize(
    "chosen",
    [
        augmentation.SegmentRecombination(),
        augmentation.TimeShift(),
        augmentation.ChannelDropout(),
        augmentation.MirrorLeftRight(NAMES),
        augmentation.FourierSurrogate(),
        augmentation.SmoothTimeMask(),
    ],
    ids=lambda chosen: type(chosen).__name__,
)
def test_every_augmentation_comes_back(chosen, path):
    X, y = data()
    clf = make(augmentation=[chosen]).fit(X, y)
    clf.save(path)
    same = skeeg.load(path)
    assert repr(same.augmentation) == repr(clf.augmentation)
    assert_same(clf.partial_fit(X, y), same.partial_fit(X, y), X)


def test_metadata_requests_come_back(path):
    with sklearn.config_context(enable_metadata_routing=True):
        ea = EuclideanAlignment().set_fit_request(groups="subject").fit(data()[0])
        skeeg.save(ea, path)
        requests = skeeg.load(path).get_metadata_routing().fit.requests
        assert requests == ea.get_metadata_routing().fit.requests
        assert requests["groups"] == "subject"


def test_a_new_process_predicts_the_same_to_the_bit(path, tmp_path):
    X, y = data()
    pipe = make_pipeline(Scaler(), make(AttentionBaseNetClassifier)).fit(X, y)
    skeeg.save(pipe, path)
    np.save(tmp_path / "X.npy", np.asarray(X))
    script = (
        "import sys, numpy, skeeg; directory = sys.argv[1]\n"
        "X = numpy.load(directory + '/X.npy')\n"
        "p = skeeg.load(directory + '/estimator.safetensors').predict_proba(X)\n"
        "numpy.save(directory + '/p.npy', p)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), pipe.predict_proba(np.asarray(X)))


def test_what_it_started_from_is_in_its_weights(path):
    X, y = data()
    base = make().fit(X, y)
    clf = make(pretrained=FrozenEstimator(base), freeze_encoder=True).fit(X, y)
    clf.save(path)
    same = skeeg.load(path)
    assert_same(clf, same, X)
    assert same.pretrained is None
    assert same.freeze_encoder
    clf.partial_fit(X, y)
    same.partial_fit(X, y)
    assert_same(clf, same, X)


def test_short_windows_warn_once_at_fit(path, recwarn):
    X, y = data()
    SSTDPNClassifier(n_fused_filters=6, max_epochs=1).fit(X, y).save(path)
    assert any("scaled down" in str(w.message) for w in recwarn)
    recwarn.clear()
    skeeg.load(path)
    assert not recwarn.list


class PowerNet(nn.Module):
    def __init__(self, n_chans, n_outputs, slope):
        super().__init__()
        self.slope = slope
        self.head = nn.Linear(n_chans, n_outputs)

    def forward(self, x):
        return self.head(self.slope * x.square().mean(-1).log())


class PowerClassifier(EEGClassifier):
    module = PowerNet

    def __init__(self, slope=1.0, *, max_epochs=2, **training):
        super().__init__(max_epochs=max_epochs, **training)
        self.slope = slope


def test_a_class_of_ones_own_is_handed_over(path):
    X, y = data()
    clf = PowerClassifier(slope=0.5, random_state=0).fit(X, y)
    clf.save(path)
    with pytest.raises(ValueError, match=r"names the class 'PowerClassifier'.*classes=\[PowerClassifier\]"):
        skeeg.load(path)
    assert_same(clf, skeeg.load(path, classes=[PowerClassifier]), X)


# ----- what is refused ------------------------------------------------------------------------------------


def test_unfitted_estimators_are_refused(path):
    with pytest.raises(NotFittedError):
        skeeg.save(make(), path)
    assert not path.exists()


def test_steps_of_others_are_refused_by_name(path):
    X, y = data()
    pipe = make_pipeline(make(), FastICA(2)).fit(X, y)
    with pytest.raises(
        ValueError, match=r"step 'fastica' of Pipeline is a FastICA, which is not skeeg's.*skops"
    ):
        skeeg.save(pipe, path)
    assert not path.exists()


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("callbacks", {"callbacks": [("mine", object())]}),
        ("monitor", {"monitor": lambda net, X, y: 0.0, "train_split": 0.2}),
    ],
)
def test_parameters_that_are_code_are_refused_by_name(name, params, path):
    X, y = data()
    clf = make().fit(X, y).set_params(**params)
    with pytest.raises(ValueError, match=rf"SSTDPNClassifier\.{name}.*skops"):
        clf.save(path)
    assert not path.exists()


def test_searches_are_refused(path):
    X, y = data()
    search = GridSearchCV(make(), {"lr": [1e-3]}, cv=2).fit(X, y)
    with pytest.raises(ValueError, match="GridSearchCV"):
        skeeg.save(search, path)
    skeeg.save(search.best_estimator_, path)


def test_caches_are_refused(path, tmp_path):
    X, y = data()
    pipe = make_pipeline(Scaler(), make(), memory=str(tmp_path / "cache")).fit(X, y)
    with pytest.raises(ValueError, match=r"Pipeline\.memory is set"):
        skeeg.save(pipe, path)
    pipe.set_params(memory=None)

    def change(document):
        document["estimator"]["params"]["memory"] = "folder"

    with pytest.raises(ValueError, match="a folder of pickles"):
        from_bytes(forge(to_bytes(pipe), change))


def test_missing_files_and_directories(path):
    with pytest.raises(FileNotFoundError):
        skeeg.load(path)
    scaler = Scaler().fit(data()[0])
    with pytest.raises(FileNotFoundError, match="there is no directory"):
        skeeg.save(scaler, path / "deeper")


# ----- safety ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved():
    X, y = data()
    pipe = make_pipeline(Scaler(), make(max_epochs=1)).fit(X, y)
    return to_bytes(pipe), np.asarray(X), pipe.predict_proba(np.asarray(X))


def test_a_crash_leaves_the_old_file(path, monkeypatch):
    X, y = data()
    clf = make().fit(X, y)
    clf.save(path)
    old = path.read_bytes()
    clf.partial_fit(X, y)
    for function in ("replace", "fsync"):
        with monkeypatch.context() as patch:
            patch.setattr(os, function, lambda *a: (_ for _ in ()).throw(OSError("power cut")))
            with pytest.raises(OSError, match="power cut"):
                clf.save(path)
        assert path.read_bytes() == old
        assert [p.name for p in path.parent.iterdir()] == [path.name]
    clf.save(path)
    assert path.read_bytes() != old
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_link_stays_a_link(path, tmp_path):
    X, y = data()
    link = tmp_path / "link"
    link.symlink_to(path)
    make().fit(X, y).save(link)
    assert link.is_symlink()
    skeeg.load(path)


def test_every_flipped_byte_and_every_cut_is_noticed(saved):
    good, X, expected = saved
    rng = np.random.default_rng(0)
    header = int.from_bytes(good[:8], "little")
    places = [*range(8), *rng.integers(8, 8 + header, 150), *rng.integers(8 + header, len(good), 100)]
    start = place_of_sum(good)
    places += range(start - 12, start + 66, 3)
    for place in places:
        bad = bytearray(good)
        bad[place] ^= int(rng.integers(1, 256))
        with pytest.raises(ValueError, match=r"damage|not a file of skeeg"):
            from_bytes(bytes(bad))
    for length in [0, 1, 7, 8, 9, 100, 8 + header, *rng.integers(0, len(good), 50), len(good) - 1]:
        with pytest.raises(ValueError, match=r"damage|not a file of skeeg"):
            from_bytes(good[:length])
    with pytest.raises(ValueError, match="damage"):
        from_bytes(good + b"x")
    np.testing.assert_array_equal(from_bytes(good).predict_proba(X), expected)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04" + b"\0" * 200,
        b"\x80\x04}q\x00.",
        b'{"a": 1}',
        b"\xff" * 64,
        b"\x10" + b"\0" * 7 + b"{}" * 8,
    ],
)
def test_foreign_files(content, path):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"is not a file of skeeg\.save"):
        skeeg.load(path)
    assert path.read_bytes() == content


def test_foreign_safetensors(path):
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(3)}, path, {"format": "pt"})
    with pytest.raises(ValueError, match=r"is not a file of skeeg\.save"):
        skeeg.load(path)


def test_the_same_estimator_gives_the_same_bytes(saved):
    good, *_ = saved
    assert {to_bytes(from_bytes(good)) for _ in range(8)} == {good}


def test_forging_is_not_what_fails(saved):
    good, X, expected = saved
    np.testing.assert_array_equal(from_bytes(forge(good, lambda d: d)).predict_proba(X), expected)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_what_was_trained_on_a_gpu_loads_without_one(saved):
    good, X, expected = saved

    def change(document):
        classifier = document["estimator"]["params"]["steps"][1]["tuple"][1]
        classifier["params"]["device"] = "cuda"  # as files of format 1 had it

    same = from_bytes(forge(good, change))
    assert same[-1].device_ == torch.device("cpu")
    assert same[-1].device == "auto"
    np.testing.assert_array_equal(same.predict_proba(X), expected)


def test_newer_formats_say_what_to_do(saved):
    def change(document):
        assert document["format"] == 2
        document["format"] = 3
        document["versions"]["skeeg"] = "9.1"

    with pytest.raises(ValueError, match=r"written by skeeg 9\.1 in format 3.*upgrade skeeg"):
        from_bytes(forge(saved[0], change))


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "builtins.eval",
        "subprocess.Popen",
        "skeeg.os",
        "skeeg.persistence.load",
        "torch.nn.Linear",
        "torch.optim.SGD",
        "skeeg.DualPrototypeLoss",
        "torch.utils.data.DataLoader",
        "sklearn.pipeline.FunctionTransformer",
    ],
)
def test_objects_of_other_classes_are_not_made(saved, name):
    def change(document):
        document["estimator"] = {"object": name, "params": {"args": "id"}, "learned": {}}

    with pytest.raises(ValueError, match=r"names the class|may only name the class"):
        from_bytes(forge(saved[0], change))


def test_persistence_names_no_class_of_the_rooms_above():
    import ast
    from pathlib import Path

    found = set()
    for file in Path(skeeg.persistence.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
                found |= {name for name in names if name.startswith("skeeg")}
    assert {name for name in found if not name.startswith("skeeg.persistence")} == {
        "skeeg._version",
        "skeeg.allowance",
        "skeeg.devices",
        "skeeg.files",
    }


# ----- skops ----------------------------------------------------------------------------------------------


def test_skops_round_trip():
    skops_io = pytest.importorskip("skops.io")
    X, y = data()
    pipe = make_pipeline(Scaler(), EuclideanAlignment(), make()).fit(X, y)
    dumped = skops_io.dumps(pipe)
    trusted = [
        "skeeg.estimators.sstdpn.SSTDPNClassifier",
        "skeeg.preprocessing.alignment.EuclideanAlignment",
        "skeeg.preprocessing.scaling.Scaler",
    ]
    assert skops_io.get_untrusted_types(data=dumped) == trusted
    same = skops_io.loads(dumped, trusted=trusted)
    assert_same(pipe, same, X)
    pipe[-1].partial_fit(X, y)
    same[-1].partial_fit(X, y)
    assert_same(pipe, same, X)


@pytest.mark.parametrize(
    "state",
    [
        {"_on_device": b"cposix\nsystem\n(S'echo pwned > pwned'\ntR."},
        {"_from_pickle": True, "module_": None},
        {"module_": None},
        {"saved": b"cposix\nsystem\n(S'echo pwned > pwned'\ntR."},
        {"saved": to_bytes(Scaler().fit(data()[0]))},
    ],
    ids=lambda state: "-".join(state),
)
def test_skops_state_reaches_no_pickle_and_sets_no_attribute(state, tmp_path, monkeypatch):
    skops_io = pytest.importorskip("skops.io")
    monkeypatch.chdir(tmp_path)

    class Forged(SSTDPNClassifier):
        def __getstate__(self):
            return state

    Forged.__module__, Forged.__name__ = SSTDPNClassifier.__module__, SSTDPNClassifier.__name__
    forged = skops_io.dumps(Forged())
    trusted = ["skeeg.estimators.sstdpn.SSTDPNClassifier"]
    assert skops_io.get_untrusted_types(data=forged) == trusted
    with pytest.raises(ValueError, match="the state of a SSTDPNClassifier"):
        skops_io.loads(forged, trusted=trusted)
    assert not list(tmp_path.iterdir())


class Watches(Callback):
    def __init__(self, tensors):
        self.tensors = tensors


@pytest.mark.parametrize(
    "params",
    [
        {"loss": nn.CrossEntropyLoss(weight=torch.ones(2, device="meta"))},
        {"callbacks": [("watches", Watches({"seen": [torch.ones(2, device="meta")]}))]},
    ],
)
def test_tensors_of_another_device_in_parameters_are_pickled_by_torch(params):
    import pickle

    content = pickle.dumps(make(**params))
    assert b"torch.serialization" in content
    assert b"torch.serialization" not in pickle.dumps(make())
    assert pickle.loads(content).get_params().keys() == make().get_params().keys()


def test_pickles_of_another_device_come_back_on_this_one(monkeypatch):
    """The route that CUDA takes; tensors that are on the CPU all the while."""
    import pickle

    X, y = data()
    clf = make().fit(X, y)
    expected = clf.predict_proba(X)
    clf.device_ = torch.device("cuda", 0)  # tensors stay where they are
    content = pickle.dumps(clf)
    assert b"torch.serialization" in content
    same = pickle.loads(content)
    assert same.device_ == torch.device("cpu")
    np.testing.assert_array_equal(same.predict_proba(X), expected)
    clf.device_ = torch.device("cpu")
    assert_same(clf.partial_fit(X, y), same.partial_fit(X, y), X)  # the optimiser holds the same weights
