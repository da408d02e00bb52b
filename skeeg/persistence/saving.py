"""Save and load."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skeeg.devices import resolve_device
from skeeg.files import write_atomically
from skeeg.persistence.reading import from_bytes
from skeeg.persistence.writing import Writer


def save(estimator, path) -> None:
    """Save a fitted estimator, or a whole Pipeline, to one file.

    Parameters
    ----------
    estimator : EEGClassifier, transformer of skeeg, or sklearn.pipeline.Pipeline of these
        Fitted. Steps of a Pipeline may also be those of :mod:`skeeg.baselines` and :mod:`skeeg.recipes`;
        pyRiemann's Covariances, CSP, MDM and TangentSpace; MNE's CSP, Scaler and Vectorizer; scikit-learn's
        FeatureUnion, GaussianNB, LinearDiscriminantAnalysis, LinearSVC, LogisticRegression, MinMaxScaler,
        Normalizer, PCA, RobustScaler, SelectKBest, StandardScaler, SVC and VarianceThreshold.
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

    See Also
    --------
    load : Reads it.
    push_to_hub : Shares it.

    Notes
    -----
    Pipelines with other steps can be kept with skops, which asks the reader what to trust: for
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
    write_atomically(path, content_of(estimator))


def load(path, classes=(), *, device="auto") -> Any:
    """Load what :func:`save` wrote.

    Parameters
    ----------
    path : str or os.PathLike
        The file.
    classes : sequence of class, default=()
        Classes of your own that the file names: subclasses of :class:`skeeg.EEGClassifier`, activations,
        losses.
    device : str or torch.device, default="auto"
        Where networks will be; "auto" takes CUDA or MPS where present, else the CPU.

    Returns
    -------
    estimator
        Fitted; it predicts to the bit what the saved one did, on the same machine and versions.

    Raises
    ------
    ValueError
        When the file is broken, was changed, is of another kind or of a newer skeeg, or names a class that
        is neither skeeg's nor in ``classes``; or the device is not there.

    See Also
    --------
    save : Writes it.
    from_pretrained : From the Hub.

    Notes
    -----
    A file says what an estimator is, not how it is run: ``device`` is chosen here; ``compile``, ``verbose``,
    ``callbacks``, ``pretrained`` and a Pipeline's ``memory`` are as they are in an estimator just made, to be
    set by ``set_params``.
    """
    resolve_device(device)
    return from_bytes(Path(path).read_bytes(), classes, os.fspath(path), device)


def content_of(estimator):
    """Get the content of the file of a fitted estimator, which is known to load.

    Parameters
    ----------
    estimator : estimator
        As in :func:`save`.

    Returns
    -------
    bytes

    Raises
    ------
    sklearn.exceptions.NotFittedError, ValueError
        As :func:`save`.
    """
    check_is_fitted(estimator)
    classifier = classifier_of(estimator)
    if hasattr(classifier, "check_params_unchanged"):
        classifier.check_params_unchanged()
    writer = Writer()
    data = writer.file_of(estimator)
    from_bytes(data, writer.own, f"what would be the file of this {type(estimator).__name__}", device="cpu")
    return data


def classifier_of(estimator):
    """Get the classifier at the end of a Pipeline, or the estimator itself."""
    return estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
