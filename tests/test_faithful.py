"""Figures show what is there: on simulated people whose sources are known, and on real recordings."""

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

from skeeg import (
    AttentionBaseNetClassifier,
    FBLightConvNetClassifier,
    Scaler,
    SincShallowNetClassifier,
    SSTDPNClassifier,
)
from skeeg.baselines import make_csp_lda, make_tangent_space_lr
from skeeg.datasets import load_motor_imagery, make_motor_imagery
from skeeg.inspection import find_importance, find_patterns
from skeeg.pretrained import load_pretrained

SHORT = {"max_epochs": 15, "random_state": 0, "verbose": 0}
DECODERS = {
    "sstdpn": make_pipeline(Scaler(), SSTDPNClassifier(n_fused_filters=24, **SHORT)),
    "attentionbasenet": make_pipeline(
        Scaler(),
        AttentionBaseNetClassifier(attention_mode="se", **SHORT | {"max_epochs": 40, "batch_size": 16}),
    ),
    "sincshallownet": make_pipeline(Scaler(), SincShallowNetClassifier(**SHORT)),
    "fblightconvnet": make_pipeline(Scaler(), FBLightConvNetClassifier(win_len=125, **SHORT)),
    "csp-lda": make_csp_lda(),
    "tangent-space-lr": make_tangent_space_lr(),
}
SOURCES = {"left": "left hand", "right": "right hand"}
AREAS = {
    "left": ["FC3", "C5", "C3", "C1", "CP3"],
    "right": ["FC4", "C6", "C4", "C2", "CP4"],
    "middle": ["FCz", "Cz", "CPz"],
}


@pytest.fixture(scope="module")
def data():
    X, y, _, sources = make_motor_imagery(
        n_subjects=1, n_trials=120, n_chans=13, difficulty=0.0, random_state=0, return_sources=True
    )
    return X, y, sources.set_index("source")


def of_hand(patterns, side):
    """Component whose power falls most where that hand is imagined, and its pattern."""
    table = patterns.components
    own = table[table["effect"] > 0] if side == "left" else table[table["effect"] < 0]
    best = own["eta2"].idxmax()
    return table.loc[best], patterns.patterns_[best]


def alike(one, other):
    return abs(np.corrcoef(one, other)[0, 1])


@pytest.mark.parametrize("name", DECODERS)
def test_the_true_sources_are_found(data, name):
    X, y, sources = data
    decoder = DECODERS[name].fit(X[:90], y[:90])
    patterns = find_patterns(decoder, X[:90], y[:90])
    csp = find_patterns(DECODERS["csp-lda"].fit(X[:90], y[:90]), X[:90], y[:90])
    in_band = []
    for side, source in SOURCES.items():
        component, pattern = of_hand(patterns, side)
        true = sources.loc[source]
        assert alike(pattern, true[list(X.ch_names)].astype(float)) > 0.9
        assert alike(pattern, of_hand(csp, side)[1]) > 0.9
        in_band += [component["low"] <= true[rhythm] <= component["high"] for rhythm in ("mu", "beta")]
    assert any(in_band)
    held_out = X[90:], y[90:]
    importance = find_importance(decoder, *held_out, channels=AREAS, scoring="neg_log_loss").table
    importance = importance.set_index("part")["lost"]
    assert importance["middle"] < max(importance["left"], importance["right"])


def test_sources_are_told_and_change_nothing(data):
    X, _, sources = data
    without, _, _ = make_motor_imagery(n_subjects=1, n_trials=120, n_chans=13, difficulty=0.0, random_state=0)
    np.testing.assert_array_equal(X, without)
    assert sources.loc["left hand", list(X.ch_names)].astype(float).idxmax() in ("C4", "C2", "CP4", "FC4")
    assert 8 < sources["mu"].iloc[0] < 13 and 17 < sources["beta"].iloc[0] < 25


def test_the_hands_of_real_people():
    X, y, metadata = load_motor_imagery()
    decoder = load_pretrained("left-right-hand", ch_names=X.ch_names, sfreq=X.sfreq, verbose=False)
    patterns = find_patterns(decoder, X, y, groups=metadata["subject"])
    table = patterns.components
    left, right = X.ch_names.index("C3"), X.ch_names.index("C4")
    for low, high in ((8, 13), (13, 30)):
        peak = table[["low", "high"]].mean(axis=1)
        in_band = table[(peak >= low) & (peak < high + 2)]
        for rises, near, far in ((True, right, left), (False, left, right)):
            own = in_band[(in_band["effect"] > 0) == rises]
            pattern = np.abs(patterns.patterns_[own["eta2"].idxmax()])
            assert pattern[near] > 1.5 * pattern[far], (low, high, rises)
