"""Estimators of scikit-learn and pyRiemann that pipelines of EEG are made of, and what each learns.

They are imported when a file names them. A class is listed where plain values and arrays are all there is to
its objects; scikit-learn validates its parameters itself.
"""

from __future__ import annotations

import importlib
import types
from numbers import Real

import numpy as np

from skeeg.persistence.learned import array_of_floats as floats
from skeeg.persistence.learned import covariance, labels, maybe, number, whole

#: Parameters that say how an object is run.
RUNNING = ("n_jobs", "verbose")


def by_class(*shape, one_of_two=True):
    """Take floats with a row a class; with ``one_of_two``, a single row for two classes."""

    def ask(value, values):
        n_classes = len(values["classes_"])
        floats(1 if n_classes == 2 and one_of_two else n_classes, *shape)(value, values)

    return ask


def counts(value, values):
    """Take a whole number, or an array of them."""
    array = np.asarray(value)
    if array.dtype.kind not in "iuf" or not ((array >= 0) & (array % 1 == 0)).all():
        raise ValueError(f"is {value!r}, no count")


def text(value, values):
    """Take a text."""
    if not isinstance(value, str):
        raise ValueError(f"is {value!r}, no text")


def means(value, values):
    """Take a covariance matrix for each class."""
    by_class(None, None, one_of_two=False)(value, values)
    for mean in value:
        covariance("n_chans_")(mean.astype(np.float64), {"n_chans_": value.shape[1]})


def mean(value, values):
    """Take a covariance matrix."""
    floats(None, None)(value, values)
    covariance("n_chans_")(value.astype(np.float64), {"n_chans_": len(value)})


_TABLE = {"n_features_in_": whole(1)}
_CLASSIFIER = _TABLE | {
    "classes_": labels,
    "coef_": by_class("n_features_in_"),
    "intercept_": by_class(),
}

#: What each learns, by public names; those in OPTIONAL are there under some parameters alone.
LEARNED = {
    "pyriemann.classification.MDM": {
        "classes_": labels,
        "covmeans_": means,
        "_metric_mean": text,
        "_metric_dist": text,
    },
    "pyriemann.estimation.Covariances": {},
    "pyriemann.spatialfilters.CSP": {"filters_": floats(None, None), "patterns_": floats(None, None)},
    "pyriemann.tangentspace.TangentSpace": {"reference_": mean, "_metric_mean": text, "_metric_map": text},
    "sklearn.discriminant_analysis.LinearDiscriminantAnalysis": _CLASSIFIER
    | {
        "means_": by_class("n_features_in_", one_of_two=False),
        "priors_": by_class(one_of_two=False),
        "_max_components": whole(),
        "_n_features_out": whole(),
        "covariance_": floats("n_features_in_", "n_features_in_"),
        "xbar_": floats("n_features_in_"),
        "scalings_": floats("n_features_in_", None),
        "explained_variance_ratio_": floats(None),
    },
    "sklearn.feature_selection.SelectKBest": _TABLE
    | {"scores_": floats("n_features_in_"), "pvalues_": maybe(floats("n_features_in_"))},
    "sklearn.linear_model.LogisticRegression": _CLASSIFIER | {"n_iter_": counts},
    "sklearn.preprocessing.FunctionTransformer": _TABLE,
    "sklearn.preprocessing.StandardScaler": _TABLE
    | {
        "mean_": maybe(floats("n_features_in_")),
        "var_": maybe(floats("n_features_in_")),
        "scale_": maybe(floats("n_features_in_")),
        "n_samples_seen_": counts,
    },
}
OPTIONAL = {"covariance_", "xbar_", "scalings_", "explained_variance_ratio_"}


def find(name):
    """Get a class of LEARNED by its name."""
    room, _, cls = name.rpartition(".")
    return getattr(importlib.import_module(room), cls)


def name_of(cls):
    """Get the public name of a class of LEARNED; None for any other."""
    room = cls.__module__.split("._")[0]
    name = f"{room}.{cls.__name__}"
    return name if name in LEARNED and find(name) is cls else None


def check(name, values):
    """Check what a file says an object of a class of LEARNED learned."""
    expected = LEARNED[name]
    missing = set(expected) - set(values) - OPTIONAL
    if name == "sklearn.preprocessing.FunctionTransformer":
        missing = set()  # it learns of tables alone
    if set(values) - set(expected) or missing:
        raise ValueError(f"{name} does not learn {sorted(values)}, but {sorted(expected)}")
    for attribute, value in values.items():
        try:
            expected[attribute](value, values)
        except ValueError as error:
            raise ValueError(f"{name}.{attribute} {error}") from error


def check_params(name, params):
    """Check that parameters of an object of a class of LEARNED are plain values, or functions of skeeg."""
    for param, value in params.items():
        if not _is_plain(value):
            raise ValueError(f"{name}: {param}={value!r} is no plain value")


def _is_plain(value):
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(map(_is_plain, [*value, *value.values()]))
    if isinstance(value, Real) and not isinstance(value, bool):
        number()(value, {})
        return True
    # functions that a file names are those of skeeg, or were handed over by its loader
    return value is None or isinstance(value, (bool, str, np.random.RandomState, types.FunctionType))
