"""Attributions are right where that can be known, and maps that show nothing learned are marked."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from sklearn.pipeline import make_pipeline

from skeeg import EEGClassifier, EuclideanAlignment, Scaler, SincShallowNetClassifier, SSTDPNClassifier
from skeeg.baselines import make_csp_lda
from skeeg.datasets import make_motor_imagery
from skeeg.inspection import AttributionsDisplay, find_attributions

pytest.importorskip("captum", reason='needs pip install "skeeg[captum]"')
SHORT = {"max_epochs": 4, "random_state": 0, "verbose": 0}


@pytest.fixture(scope="module")
def data():
    X, y, _ = make_motor_imagery(n_subjects=1, n_trials=60, n_chans=6, difficulty=0.0, random_state=1)
    return X, y


class LinearNet(torch.nn.Module):
    def __init__(self, n_chans, n_outputs, n_times):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(n_outputs, n_chans, n_times) / n_times)

    def forward(self, x):
        return torch.einsum("nct,kct->nk", x, self.weight)


class LinearNetClassifier(EEGClassifier):
    module = LinearNet


@pytest.mark.parametrize("method", ["integrated_gradients", "gradient_x_input", "smoothgrad"])
def test_a_linear_network_through_scaling_and_alignment(data, method):
    X, y = data
    pipeline = make_pipeline(Scaler(), EuclideanAlignment(), LinearNetClassifier(**SHORT)).fit(X, y)
    found = find_attributions(pipeline, X[:10], y[:10], method=method, randomise=False, n_steps=4)
    scaler, alignment, network = (step for _, step in pipeline.steps)
    values, vectors = np.linalg.eigh(alignment.reference_)
    A = (vectors / np.sqrt(values)) @ vectors.T / scaler.scale_
    weight = network.module_.weight.detach().numpy().astype(float)
    difference = weight[1] - weight[0]  # evidence: the class's logit less the other's
    of_right = (A.T @ difference) * np.asarray(X[:10], float)
    expected = np.where((y[:10] == "right_hand")[:, None, None], 1, -1) * of_right
    np.testing.assert_allclose(found.maps, expected, rtol=2e-3, atol=2e-3 * np.abs(expected).max())
    np.testing.assert_allclose(
        found.spectra.sum(axis=0), found.topographies.sum(axis=1), rtol=1e-3, atol=1e-6
    )
    np.testing.assert_allclose(
        found.courses.sum(axis=0), found.topographies.sum(axis=1), rtol=1e-3, atol=1e-6
    )


def test_integrated_gradients_add_up_to_the_evidence(data):
    X, y = data
    network = SincShallowNetClassifier(num_time_filters=4, **SHORT).fit(X, y)
    found = find_attributions(network, X[:6], y[:6], n_steps=128, randomise=False)
    silence = np.zeros((1, *X.shape[1:]), np.float32)
    of_silence = network.decision_function(silence)
    evidence = network.decision_function(X[:6]) - of_silence
    evidence = np.where(y[:6] == network.classes_[1], evidence, -evidence)
    np.testing.assert_allclose(found.maps.sum(axis=(1, 2)), evidence, rtol=0.03, atol=0.02)


def test_both_sanity_checks_come_along_and_leave_the_network_alone(data):
    X, y = data
    pipeline = make_pipeline(Scaler(), SSTDPNClassifier(spt_attn_global_context_kernel=100, **SHORT)).fit(
        X, y
    )
    before = pipeline.predict_proba(X)
    state = torch.random.get_rng_state()
    display = AttributionsDisplay.from_estimator(
        pipeline, X[:12], y[:12], train=(X, y), n_steps=4, figure=Figure()
    )
    assert torch.equal(torch.random.get_rng_state(), state)
    np.testing.assert_array_equal(pipeline.predict_proba(X), before)
    sanity = display.attributions.sanity
    assert sanity.index.tolist() == ["weights", "labels"]
    assert ((sanity["similarity"] > 0.5) == sanity["survives"]).all()
    assert len(display.axes_) == 3 * 2 + 2
    said = " ".join(ax.get_ylabel() for ax in display.axes_)
    assert said.count("SURVIVES") == sanity["survives"].sum()
    again = find_attributions(pipeline, X[:12], y[:12], train=(X, y), n_steps=4)
    assert again.sanity.equals(sanity)


def test_a_map_that_ignores_the_weights_is_marked(data):
    X, y = data

    class Sum(torch.nn.Module):
        def __init__(self, n_chans, n_outputs):
            super().__init__()
            self.gain = torch.nn.Parameter(torch.ones(n_outputs))

        def forward(self, x):  # whatever is learned, the map is the trial itself
            return x.mean((1, 2))[:, None] * self.gain * torch.tensor([1.0, -1.0])

    class SumClassifier(EEGClassifier):
        module = Sum

    found = find_attributions(SumClassifier(**SHORT).fit(X, y), X[:8], y[:8], method="gradient_x_input")
    assert found.sanity["survives"].all() and found.sanity["similarity"].min() > 0.99


def test_what_has_no_gradient_is_refused(data):
    X, y = data
    with pytest.raises(ValueError, match="has no gradients"):
        find_attributions(make_csp_lda().fit(X, y), X, y)
    with pytest.raises(ValueError, match="'method'"):
        find_attributions(SincShallowNetClassifier(**SHORT).fit(X, y), X, y, method="deeplift")
