"""Save and load."""

from __future__ import annotations

import os
from pathlib import Path

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skeeg.files import write_atomically
from skeeg.persistence.reading import from_bytes
from skeeg.persistence.writing import to_bytes


def save(estimator, path):
    """Save a fitted estimator, or a Pipeline of skeeg's steps, to one file.

    Parameters
    ----------
    estimator : EEGClassifier, transformer of skeeg, or sklearn.pipeline.Pipeline of these
        Fitted.
    path : str or os.PathLike
        The file; replaced where it exists, atomically: a crash leaves the old one. Any name will do;
        ".safetensors" tells other tools what it is.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        When the estimator is not fitted.
    ValueError
        When a part of it cannot be kept without pickle, such as a step of another library; nothing is
        written then.

    Notes
    -----
    Pipelines with steps of other libraries can be kept with skops, which asks the reader what to trust: for
    skeeg's estimators, their own names, such as ``skops.io.load(path,
    trusted=["skeeg.preprocessing.scaling.Scaler", "skeeg.estimators.sstdpn.SSTDPNClassifier"])``.

    Examples
    --------
    >>> import os, tempfile, numpy as np, skeeg
    >>> from sklearn.pipeline import make_pipeline
    >>> X, y = np.random.default_rng(0).standard_normal((20, 3, 250)), np.repeat(["left", "right"], 10)
    >>> pipe = make_pipeline(skeeg.Scaler(), skeeg.SSTDPNClassifier(max_epochs=1)).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = os.path.join(directory, "left_right.safetensors")
    ...     skeeg.save(pipe, path)
    ...     same = skeeg.load(path)
    >>> bool((same.predict_proba(X) == pipe.predict_proba(X)).all())
    True
    """
    check_savable(estimator)
    write_atomically(path, to_bytes(estimator))


def load(path, classes=()):
    """Load what :func:`save` wrote.

    Parameters
    ----------
    path : str or os.PathLike
        The file.
    classes : sequence of class, default=()
        Classes of your own that the file names: subclasses of :class:`skeeg.EEGClassifier`, activations,
        losses.

    Returns
    -------
    estimator
        Fitted; it predicts to the bit what the saved one did, on the same machine and versions.

    Raises
    ------
    ValueError
        When the file is broken, was changed, is of another kind or of a newer skeeg, or names a class that
        is neither skeeg's nor in ``classes``.
    """
    return from_bytes(Path(path).read_bytes(), classes, os.fspath(path))


def check_savable(estimator):
    """Check that an estimator is fitted, and its parameters are those that it was fitted with."""
    check_is_fitted(estimator)
    classifier = classifier_of(estimator)
    if hasattr(classifier, "check_params_unchanged"):
        classifier.check_params_unchanged()


def classifier_of(estimator):
    """Get the classifier at the end of a Pipeline, or the estimator itself."""
    return estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
