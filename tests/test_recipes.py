"""Recipes are ordinary estimators that follow the papers' protocols."""

import numpy as np
import pytest
from sklearn.base import clone

from skeeg import recipes
from skeeg.datasets import make_motor_imagery

RECIPES = [
    recipes.sstdpn_2a,
    recipes.sstdpn_2b,
    recipes.sstdpn_iii_iva,
    recipes.attentionbasenet_2a,
    recipes.attentionbasenet_2b,
    recipes.attentionbasenet_hgd,
    recipes.sincshallownet_2a,
    recipes.lightconvnet_2a,
]


@pytest.mark.filterwarnings("ignore:n_times:UserWarning")
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.__name__)
def test_recipe_trains_both_phases(recipe):
    X, y, _ = make_motor_imagery(n_subjects=1, n_trials=40, n_chans=8, sfreq=250, random_state=0)
    pipe = clone(recipe(max_epochs=2, random_state=0, verbose=0))
    net = pipe[-1] if hasattr(pipe, "steps") else pipe
    refit = net.refit_epochs
    net.set_params(refit_epochs=min(refit, 1))
    pipe.fit(X, y)
    assert len(net.history_) == 2 + min(refit, 1)
    assert net.best_epoch_ == len(net.history_)
    assert pipe.predict(X).shape == (40,)


def test_overrides_win():
    assert recipes.sstdpn_2b(max_epochs=3).max_epochs == 3
    assert recipes.attentionbasenet_hgd("se", reduction_rate=2)[-1].reduction_rate == 2


def test_leaving_one_subject_out_is_shorter():
    within = recipes.attentionbasenet_2a()[-1]
    across = recipes.attentionbasenet_2a(leave_one_subject_out=True)[-1]
    assert (within.max_epochs, within.lr_schedule__warmup_epochs) == (1000, 20)
    assert (across.max_epochs, across.lr_schedule__warmup_epochs) == (125, 3)


def test_standardize_each_trial():
    X = np.random.default_rng(0).normal(5, 3, (4, 3, 50))
    Z = recipes.standardize_each_trial(X)
    np.testing.assert_allclose(Z, (X - X.mean(2, keepdims=True)) / X.std(2, keepdims=True), atol=1e-5)
