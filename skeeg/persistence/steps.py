"""Estimators of scikit-learn, pyRiemann and MNE that pipelines of EEG are made of, and what each learns.

They are imported when a file names them. A class is listed where plain values and arrays are all there is to
its objects; scikit-learn validates its parameters itself.
"""

from __future__ import annotations

import importlib
import types
from functools import cache
from numbers import Real

import numpy as np

from skeeg.persistence.learned import array, boolean, covariance, labels, maybe, number, one_of, whole
from skeeg.persistence.learned import array_of_floats as floats

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


def like(name):
    """Take floats in an array of the shape of another learned one."""
    return lambda value, values: floats(*values[name].shape)(value, values)


def places(count):
    """Take different places among as many things as the whole number called ``count`` says."""

    def ask(value, values):
        if not isinstance(value, np.ndarray) or value.dtype.kind != "i" or value.ndim != 1:
            raise ValueError("is no row of whole numbers")
        if len(np.unique(value)) != len(value) or not ((value >= 0) & (value < values[count])).all():
            raise ValueError(f"holds no different places below {values[count]}")

    return ask


def names(value, values):
    """Take the names of the columns of a table, as scikit-learn keeps them."""
    if getattr(value, "shape", None) != (values["n_features_in_"],) or value.dtype.kind != "O":
        raise ValueError("is no row of names")
    if not all(isinstance(name, str) for name in value):
        raise ValueError("holds names that are no text")


def shape(value, values):
    """Take the shape of a trial."""
    if not isinstance(value, tuple) or not value:
        raise ValueError(f"is {value!r}, no shape")
    for length in value:
        whole(1)(length, values)


def scaler(value, values):
    """Take what MNE's Scaler scales with."""
    known = ("sklearn.preprocessing.RobustScaler", "sklearn.preprocessing.StandardScaler")
    if name_of(type(value)) not in known or not hasattr(value, "scale_"):
        raise ValueError(f"is {value!r}, no fitted scaler")


def of_pairs(value, values):
    """Take a number for each pair of classes, or none."""
    n_classes = len(values["classes_"])
    floats(None)(value, values)
    if len(value) not in (0, n_classes * (n_classes - 1) // 2):
        raise ValueError(f"holds {len(value)} numbers for {n_classes} classes")


def pairs(value, values):
    """Take a number for each pair of classes."""
    of_pairs(value, values)
    if not len(value):
        raise ValueError("holds no numbers")


def support_vectors(value, values):
    """Take the vectors that a support vector machine keeps, to which all its other arrays belong."""
    rows = len(values["support_"])
    array(np.float64, rows, "n_features_in_")(value, values)
    n_classes = len(values["classes_"])
    if values["_n_support"].sum() != rows or (values["_n_support"] < 0).any():
        raise ValueError(f"has {rows} rows, not {values['_n_support'].sum()}")
    for name in ("dual_coef_", "_dual_coef_"):
        array(np.float64, n_classes - 1, rows)(values[name], values)
    array(np.int32, n_classes)(values["_n_support"], values)
    fitted = values["shape_fit_"]
    shape(fitted, values)
    if len(fitted) != 2 or fitted[1] != values["n_features_in_"]:
        raise ValueError("is of trials of another shape")
    if not ((values["support_"] >= 0) & (values["support_"] < fitted[0])).all():
        raise ValueError(f"names trials that there are not among {fitted[0]}")


_TABLE = {"n_features_in_": whole(1), "feature_names_in_": names}
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
    "mne.decoding.CSP": {
        "n_features_in_": whole(1),
        "classes_": labels,
        "sorter_": places("n_features_in_"),
        "evals_": maybe(floats(None)),
        "filters_": floats(None, "n_features_in_"),
        "patterns_": like("filters_"),
        "mean_": floats(None),
        "std_": floats(None),
    },
    "mne.decoding.Scaler": {"n_features_in_": whole(1), "scaler_": scaler},
    "mne.decoding.Vectorizer": {"n_features_in_": whole(1), "features_shape_": shape},
    "sklearn.decomposition.PCA": _TABLE
    | {
        "_fit_svd_solver": text,
        "mean_": floats("n_features_in_"),
        "noise_variance_": number(),
        "n_samples_": whole(1),
        "n_components_": whole(),
        "components_": floats("n_components_", "n_features_in_"),
        "explained_variance_": floats("n_components_"),
        "explained_variance_ratio_": floats("n_components_"),
        "singular_values_": floats("n_components_"),
    },
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
    "sklearn.feature_selection.VarianceThreshold": _TABLE | {"variances_": floats("n_features_in_")},
    "sklearn.linear_model.LogisticRegression": _CLASSIFIER | {"n_iter_": counts},
    "sklearn.naive_bayes.GaussianNB": _TABLE
    | {
        "classes_": labels,
        "epsilon_": number(0),
        "theta_": by_class("n_features_in_", one_of_two=False),
        "var_": by_class("n_features_in_", one_of_two=False),
        "class_count_": by_class(one_of_two=False),
        "class_prior_": by_class(one_of_two=False),
    },
    "sklearn.preprocessing.FunctionTransformer": _TABLE,
    "sklearn.preprocessing.MinMaxScaler": _TABLE
    | {name: floats("n_features_in_") for name in ("data_max_", "data_min_", "data_range_", "min_", "scale_")}
    | {"n_samples_seen_": counts},
    "sklearn.preprocessing.Normalizer": _TABLE,
    "sklearn.preprocessing.RobustScaler": _TABLE
    | {name: maybe(floats("n_features_in_")) for name in ("center_", "scale_")},
    "sklearn.preprocessing.StandardScaler": _TABLE
    | {
        "mean_": maybe(floats("n_features_in_")),
        "var_": maybe(floats("n_features_in_")),
        "scale_": maybe(floats("n_features_in_")),
        "n_samples_seen_": counts,
    },
    "sklearn.svm.LinearSVC": _CLASSIFIER | {"n_iter_": counts},
    "sklearn.svm.SVC": _TABLE
    | {
        "classes_": labels,
        "class_weight_": by_class(one_of_two=False),
        "dual_coef_": floats(None, None),
        "intercept_": pairs,
        "n_iter_": counts,
        "shape_fit_": shape,
        "support_": array(np.int32, None),
        "support_vectors_": support_vectors,
        "epsilon": number(0),
        "fit_status_": whole(0, 1),
        "nu": number(0),
        "_dual_coef_": floats(None, None),
        "_effective_probability": boolean,
        "_gamma": number(0),
        "_intercept_": pairs,
        "_n_support": array(np.int32, None),
        "_num_iter": counts,
        "_probA": of_pairs,
        "_probB": of_pairs,
        "_sparse": one_of(False),
    },
}
OPTIONAL = {
    "covariance_",
    "explained_variance_ratio_",
    "feature_names_in_",
    "mean_",
    "scalings_",
    "std_",
    "xbar_",
    "_effective_probability",
}
#: What an object makes of its parameters when it is made, and files do not hold.
MADE_ANEW = ("R_func", "cov_callable", "dec_type", "mod_ged_callable")
#: Functions that parameters may be, by public names.
FUNCTIONS = ("sklearn.feature_selection.f_classif", "sklearn.feature_selection.mutual_info_classif")


def find(name):
    """Get a class of LEARNED by its name."""
    room, _, cls = name.rpartition(".")
    return getattr(importlib.import_module(room), cls)


def name_of(cls):
    """Get the public name of a class of LEARNED; None for any other."""
    room = cls.__module__.split("._")[0]
    room = "mne.decoding" if room.startswith("mne.decoding.") else room
    name = f"{room}.{cls.__name__}"
    return name if name in LEARNED and find(name) is cls else None


@cache
def functions():
    """Get the functions of FUNCTIONS by their names."""
    return {name: find(name) for name in FUNCTIONS}


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
