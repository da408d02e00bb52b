"""Prototypes and features are those of the network."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.manifold import TSNE
from sklearn.pipeline import make_pipeline

from skeeg import AttentionBaseNetClassifier, Scaler, SSTDPNClassifier
from skeeg.baselines import make_csp_lda
from skeeg.datasets import make_motor_imagery
from skeeg.inspection import PrototypesDisplay, find_prototypes

SHORT = {"max_epochs": 3, "random_state": 0, "verbose": 0}


@pytest.fixture(scope="module")
def data():
    X, y, _ = make_motor_imagery(n_subjects=1, n_trials=40, n_chans=6, difficulty=0.0, random_state=1)
    return X, y


def sstdpn(**parameters):
    return SSTDPNClassifier(spt_attn_global_context_kernel=100, **SHORT, **parameters)


def test_logits_are_products_with_the_separation_prototypes(data):
    X, y = data
    pipeline = make_pipeline(Scaler(), sstdpn(proto_sep_maxnorm=0.3)).fit(X, y)
    found = find_prototypes(pipeline, X, y)
    assert np.linalg.norm(found.separation, axis=1).max() <= 0.3 + 1e-6
    logits = found.features @ found.separation.T
    np.testing.assert_allclose(
        logits[:, 1] - logits[:, 0], pipeline.decision_function(X), rtol=1e-3, atol=1e-4
    )
    apart = np.linalg.norm(found.features[y == "left_hand"] - found.compactness[1], axis=1).mean()
    np.testing.assert_allclose(found.distances.loc["left_hand", "right_hand"], apart, rtol=1e-5)


def test_ratio_is_that_of_variances_and_the_loss_lowers_it(data):
    X, y = data
    found = find_prototypes(sstdpn().fit(X, y), X, y)
    left, right = (found.features[y == label].astype(float) for label in found.classes)
    within = np.mean([left.var(axis=0).sum(), right.var(axis=0).sum()])
    between = np.square(left.mean(axis=0) - right.mean(axis=0)).sum() / 4
    np.testing.assert_allclose(found.ratio, within / between, rtol=1e-3)
    assert find_prototypes(sstdpn(loss="cross_entropy").fit(X, y), X, y).compactness is None


def test_the_loss_draws_features_to_their_prototypes(data):
    X, y = data
    shares = []
    for weight in (0.0, 1.0):
        network = sstdpn(compactness_weight=weight).set_params(max_epochs=15).fit(X, y)
        distances = find_prototypes(network, X, y).distances.to_numpy()
        shares.append(np.diag(distances).mean() / distances[::-1].diagonal().mean())
    assert shares[1] < shares[0]  # to their own, less far than to the other's


def test_other_networks_have_the_losses_prototypes(data):
    X, y = data
    network = AttentionBaseNetClassifier(loss="dual_prototype", n_temporal_filters=4, **SHORT).fit(X, y)
    found = find_prototypes(network, X, y)
    assert found.separation is None
    np.testing.assert_array_equal(found.compactness, network.criterion_.proto_cpt.detach().numpy())
    assert find_prototypes(network.set_params(loss="cross_entropy").fit(X, y), X, y).compactness is None


def test_figures(data):
    X, y = data
    network = sstdpn().fit(X, y)
    display = PrototypesDisplay.from_estimator(network, X, y, title="one person", ax=Figure().subplots())
    assert len(display.ax_.collections) == 4 and len(display.ax_.texts) == 2  # clouds, prototypes, arrows
    embedded = PrototypesDisplay.from_estimator(
        network, X, y, transformer=TSNE(2, perplexity=5, random_state=0, max_iter=250), ax=Figure().subplots()
    )
    assert embedded.points_.shape == (40, 2)


def test_arrows_are_seen_where_a_trial_lies_far_out(data):
    X, y = data
    network = sstdpn().fit(X, y)
    loud = np.array(X)
    loud[0] *= 30
    ax = PrototypesDisplay.from_estimator(network, loud, y, ax=Figure().subplots()).ax_
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    assert len(ax.texts) == 2
    assert all(left <= x <= right and low <= y <= high for x, y in (arrow.xy for arrow in ax.texts))


def test_what_has_none_is_refused(data):
    X, y = data
    with pytest.raises(ValueError, match="has no features and prototypes"):
        find_prototypes(make_csp_lda().fit(X, y), X, y)
    network = sstdpn().fit(X, y)
    with pytest.raises(ValueError, match="give y"):
        find_prototypes(network, np.asarray(X))
    with pytest.raises(ValueError, match="not in"):
        find_prototypes(network, X, np.repeat(["up", "down"], 20))
    with pytest.raises(ValueError, match="alone"):
        find_prototypes(network, X[y == "left_hand"], y[y == "left_hand"])
