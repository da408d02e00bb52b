"""The generic suites, over every estimator: scikit-learn's own and skeeg's."""

import inspect
import pydoc
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from adapter import tabular
from sklearn.utils.estimator_checks import parametrize_with_checks

import skeeg
from skeeg import (
    AttentionBaseNetClassifier,
    EEGClassifier,
    FBLightConvNetClassifier,
    SincShallowNetClassifier,
    SSTDPNClassifier,
)
from skeeg.preprocessing import (
    BandPass,
    Crop,
    EuclideanAlignment,
    ExponentialMovingStandardizer,
    FilterBank,
    Resampler,
    RiemannianAlignment,
    Scaler,
)
from skeeg.testing import check_eeg_estimator, eeg_checks


class LinearNet(torch.nn.Module):
    def __init__(self, n_chans, n_outputs, n_times):
        super().__init__()
        self.head = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(n_chans * n_times, n_outputs))

    def forward(self, x):
        return self.head(x)


class LinearClassifier(EEGClassifier):
    """A network of one's own, as the docstring of EEGClassifier says to bring it."""

    module = LinearNet

    def __init__(self, *, lr=0.3, max_epochs=60, **training):
        super().__init__(lr=lr, max_epochs=max_epochs, **training)


def quick(cls, **params):
    in_hz = issubclass(cls, (SincShallowNetClassifier, FBLightConvNetClassifier))
    needs = {"sfreq": 100.0} if in_hz else {}
    return cls(verbose=0, random_state=0, **needs, **params)


ESTIMATORS = [
    SSTDPNClassifier,
    AttentionBaseNetClassifier,
    SincShallowNetClassifier,
    FBLightConvNetClassifier,
    LinearClassifier,
]


@parametrize_with_checks(
    [quick(tabular(cls), lr=0.01, max_epochs=20) for cls in ESTIMATORS[:-1]]
    + [quick(tabular(LinearClassifier))]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


TabularScaler, TabularAlignment = tabular(Scaler), tabular(EuclideanAlignment)


@parametrize_with_checks(
    [
        *(TabularScaler(method=method) for method in ("standard", "robust", "microvolt")),
        TabularAlignment(),
        TabularAlignment(mode="single"),
        tabular(RiemannianAlignment)(),
        tabular(BandPass)(sfreq=100.0),
        tabular(Resampler)(new_sfreq=50.0, sfreq=100.0),
        tabular(Crop)(sfreq=100.0),
        tabular(ExponentialMovingStandardizer)(),
        tabular(FilterBank)(sfreq=100.0),
    ]
)
def test_scikit_learn_checks_of_transformers(estimator, check):
    check(estimator)


@pytest.mark.parametrize("check", eeg_checks.values(), ids=eeg_checks.keys())
@pytest.mark.parametrize("cls", ESTIMATORS, ids=lambda cls: cls.__name__)
def test_eeg_checks(cls, check):
    check(quick(cls, max_epochs=2))


def test_check_eeg_estimator_names_what_failed():
    class Forgetful(LinearClassifier):
        def predict_proba(self, X):
            return super().predict_proba(X)[::-1]

    with pytest.raises(AssertionError, match=r"checks failed:\n(.|\n)*labels"):
        check_eeg_estimator(quick(Forgetful, max_epochs=1))


def test_a_signature_without_training_names_its_own_parameters_alone():
    class Fixed(EEGClassifier):
        def __init__(self, width=3, lr=0.1):
            super().__init__(lr=lr)
            self.width = width

    assert list(inspect.signature(Fixed).parameters) == ["width", "lr"]
    assert Fixed(width=4).get_params() == {"lr": 0.1, "width": 4}


def test_signature_lists_every_parameter():
    parameters = inspect.signature(SSTDPNClassifier).parameters
    assert {"spt_attn_mode", "compactness_weight", "max_epochs", "random_state"} <= set(parameters)
    assert sorted(parameters) == sorted(SSTDPNClassifier().get_params())


def test_parameters_have_the_same_order_whatever_the_hash_seed():
    code = "from skeeg import SSTDPNClassifier as C; c = C(optimizer__eps=1e-7); print(c.get_params(), c)"
    runs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(runs) == 1


def test_every_public_estimator_is_checked():
    public = {
        cls
        for name in skeeg.__all__
        if inspect.isclass(cls := getattr(skeeg, name)) and issubclass(cls, EEGClassifier)
    }
    assert public - {EEGClassifier} == set(ESTIMATORS[:-1])


@pytest.mark.parametrize("cls", ESTIMATORS[:-1], ids=lambda cls: cls.__name__)
def test_what_dir_lists_is_documented(cls):
    X, y = np.random.default_rng(0).normal(0, 10, (12, 3, 250)), np.arange(12) % 2
    fitted = quick(cls, max_epochs=1).fit(X, y)
    entries = re.findall(r"^    ([\w, ]+) : ", cls.__doc__ + EEGClassifier.__doc__, re.MULTILINE)
    documented = {name for entry in entries for name in entry.split(", ")}
    for name in dir(fitted):
        if not name.startswith("_") and name not in documented | {"module"}:
            assert inspect.getdoc(getattr(cls, name)), name
    shown = set(fitted._get_fitted_attr_html())
    assert shown <= documented
    assert {"classes_", "module_", "history_", "n_chans_"} <= shown
    assert shown.isdisjoint({"prefixes_", "virtual_params_", "callbacks_", "optimizer_", "init_context_"})
    assert "forward_iter" not in dir(fitted)
    assert callable(fitted.forward_iter)


@pytest.mark.parametrize("cls", ESTIMATORS[:-1], ids=lambda cls: cls.__name__)
def test_help_is_two_screens_long(cls):
    own, *_ = pydoc.plain(pydoc.render_doc(cls)).partition("Methods inherited from")
    before, *_ = own.partition("Data and other attributes defined here")
    assert before.count("\n") < 120
