"""Pipelines to beat: spatial filters and Riemannian geometry on the power of sensorimotor rhythms.

Each function returns an ordinary, unfitted scikit-learn Pipeline. It takes raw trials, (n_trials, n_chans,
n_times) arrays or ``mne.Epochs``, and has the band-pass filter inside. Covariances are shrunk (OAS), so that
an average reference, interpolated channels and short trials do no harm; nor do loud trials with
``covariance="sign"``.
"""

from __future__ import annotations

import numpy as np
from pyriemann import classification, estimation, spatialfilters, tangentspace
from sklearn.base import ClassNamePrefixFeaturesOutMixin, clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_selection import SelectKBest, mutual_info_classif
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline

from skeeg.persistence import Kept, learned, register, steps
from skeeg.preprocessing import BandPass, EuclideanAlignment

_SCALE_FREE = ("corr", "sign", "tyl")  # covariances that do not see how loud trials are
_NO_POWER = 1e-16  # of a trial, as a share of the median in fit: what rounding leaves of a constant


def make_csp_lda(
    sfreq=None, low=8.0, high=30.0, *, n_components=6, covariance="oas", recenter=False
) -> Pipeline:
    """Make common spatial patterns with linear discriminant analysis of the log power.

    Parameters
    ----------
    sfreq : float, optional
        Sampling rate in Hz; X knows it when it is an ``mne.Epochs`` or :class:`skeeg.EEGArray`.
    low, high : float, default=8.0, 30.0
        Band in Hz.
    n_components : int, default=6
        Spatial filters; as many as channels where there are fewer.
    covariance : str or callable, default="oas"
        How covariances are estimated, see :class:`Covariances`: "sign" where loud or clipped trials are to do
        no harm.
    recenter : bool or alignment, default=False
        Align the filtered trials of each subject: True by :class:`skeeg.preprocessing.EuclideanAlignment`, an
        object by itself, such as ``RiemannianAlignment(mode="causal")``. Pass subjects as ``groups`` by
        metadata routing.

    Returns
    -------
    Pipeline
        Unfitted; steps "bandpass", (an alignment,) "covariances", "csp", "lda".

    See Also
    --------
    make_fbcsp_lda : The same in nine bands.
    make_tangent_space_lr : Covariances without spatial filters.

    Notes
    -----
    Blankertz et al. (2008), "Optimizing spatial filters for robust EEG single-trial analysis", IEEE Signal
    Processing Magazine 25(1). More than two classes: joint diagonalisation, Grosse-Wentrup & Buss (2008).

    Examples
    --------
    >>> from skeeg.baselines import make_csp_lda
    >>> from skeeg.datasets import make_motor_imagery
    >>> X, y, _ = make_motor_imagery(1, 80, difficulty=0.0, random_state=0)
    >>> bool(make_csp_lda().fit(X[:60], y[:60]).score(X[60:], y[60:]) > 0.7)
    True
    """
    return Pipeline(
        [*_csp_steps(sfreq, (low, high), n_components, covariance, recenter), ("lda", _shrunk_lda())]
    )


def make_fbcsp_lda(
    sfreq=None, bands=None, *, n_components=4, n_features=8, covariance="oas", recenter=False
) -> Pipeline:
    """Make filter-bank CSP: spatial filters in each band, the most informative features, and LDA.

    Parameters
    ----------
    sfreq : float, optional
        Sampling rate in Hz; X knows it when it is an ``mne.Epochs`` or :class:`skeeg.EEGArray`.
    bands : list of (float, float), optional
        Bands in Hz; by default the nine of 4 Hz from 4 to 40 Hz, as far as a given ``sfreq`` can hold them.
    n_components : int, default=4
        Spatial filters a band; as many as channels where there are fewer.
    n_features : int, default=8
        Features kept, by mutual information with the class.
    covariance : str or callable, default="oas"
        How covariances are estimated, see :class:`Covariances`: "sign" where loud or clipped trials are to do
        no harm.
    recenter : bool or alignment, default=False
        Align the trials of each subject in each band: True by
        :class:`skeeg.preprocessing.EuclideanAlignment`, an object by itself, such as
        ``RiemannianAlignment(mode="causal")``. Pass subjects as ``groups`` by metadata routing.

    Returns
    -------
    Pipeline
        Unfitted; steps "bands" (a FeatureUnion of Pipelines), "selectkbest", "lda".

    See Also
    --------
    make_csp_lda : The same in one band.
    skeeg.FBLightConvNetClassifier : A network of the same idea.

    Notes
    -----
    Ang et al. (2012), "Filter bank common spatial pattern algorithm on BCI competition IV datasets 2a and
    2b", Frontiers in Neuroscience 6. Departures: features are selected one by one rather than in pairs of
    filters, and LDA stands for the Parzen window.

    Examples
    --------
    >>> from skeeg.baselines import make_fbcsp_lda
    >>> from skeeg.datasets import make_motor_imagery
    >>> X, y, _ = make_motor_imagery(1, 80, difficulty=0.0, random_state=0)
    >>> bool(make_fbcsp_lda(bands=[(8, 13), (16, 26)]).fit(X[:60], y[:60]).score(X[60:], y[60:]) > 0.7)
    True
    """
    if bands is None:
        nyquist = np.inf if sfreq is None else sfreq / 2
        bands = [(low, low + 4) for low in range(4, 40, 4) if low + 4 < nyquist]
    union = FeatureUnion(
        [
            (
                f"{low:g}-{high:g} Hz",
                Pipeline(_csp_steps(sfreq, (low, high), n_components, covariance, recenter)),
            )
            for low, high in bands
        ]
    )
    return Pipeline(
        [
            ("bands", union),
            ("selectkbest", SelectKBest(mutual_information, k=n_features)),
            ("lda", _shrunk_lda()),
        ]
    )


def make_mdm(sfreq=None, low=8.0, high=30.0, *, covariance="oas", recenter=False) -> Pipeline:
    """Make the minimum distance to the Riemannian mean of each class.

    Parameters
    ----------
    sfreq : float, optional
        Sampling rate in Hz; X knows it when it is an ``mne.Epochs`` or :class:`skeeg.EEGArray`.
    low, high : float, default=8.0, 30.0
        Band in Hz.
    covariance : str or callable, default="oas"
        How covariances are estimated, see :class:`Covariances`: "sign" where loud or clipped trials are to do
        no harm.
    recenter : bool or alignment, default=False
        Align the filtered trials of each subject: True by :class:`skeeg.preprocessing.EuclideanAlignment`, an
        object by itself, such as ``RiemannianAlignment(mode="causal")``. Pass subjects as ``groups`` by
        metadata routing.

    Returns
    -------
    Pipeline
        Unfitted; steps "bandpass", (an alignment,) "covariances", "mdm".

    See Also
    --------
    make_tangent_space_lr : A classifier in the tangent space.

    Notes
    -----
    Barachant et al. (2012), "Multiclass brain-computer interface classification by Riemannian geometry",
    IEEE Trans. Biomed. Eng. 59(4).

    Examples
    --------
    >>> from skeeg.baselines import make_mdm
    >>> list(make_mdm(sfreq=250, recenter=True).named_steps)
    ['bandpass', 'euclideanalignment', 'covariances', 'mdm']
    >>> from skeeg.preprocessing import RiemannianAlignment
    >>> list(make_mdm(sfreq=250, recenter=RiemannianAlignment(mode="causal")).named_steps)
    ['bandpass', 'riemannianalignment', 'covariances', 'mdm']
    """
    return Pipeline(
        [*_covariance_steps(sfreq, (low, high), covariance, recenter), ("mdm", MDM(metric="riemann"))]
    )


def make_tangent_space_lr(
    sfreq=None, low=8.0, high=30.0, *, C=1.0, covariance="oas", recenter=False
) -> Pipeline:
    """Make logistic regression on covariances in the tangent space at their Riemannian mean.

    Parameters
    ----------
    sfreq : float, optional
        Sampling rate in Hz; X knows it when it is an ``mne.Epochs`` or :class:`skeeg.EEGArray`.
    low, high : float, default=8.0, 30.0
        Band in Hz.
    C : float, default=1.0
        Inverse strength of the L2 penalty.
    covariance : str or callable, default="oas"
        How covariances are estimated, see :class:`Covariances`: "sign" where loud or clipped trials are to do
        no harm.
    recenter : bool or alignment, default=False
        Align the filtered trials of each subject: True by :class:`skeeg.preprocessing.EuclideanAlignment`, an
        object by itself, such as ``RiemannianAlignment(mode="causal")``. Pass subjects as ``groups`` by
        metadata routing.

    Returns
    -------
    Pipeline
        Unfitted; steps "bandpass", (an alignment,) "covariances", "tangentspace", "lr".

    See Also
    --------
    make_mdm : Distances to the mean of each class.

    Notes
    -----
    Barachant et al. (2013), "Classification of covariance matrices using a Riemannian-based kernel for BCI
    applications", Neurocomputing 112.

    Examples
    --------
    >>> from sklearn.model_selection import cross_val_score
    >>> from skeeg.baselines import make_tangent_space_lr
    >>> from skeeg.datasets import make_motor_imagery
    >>> X, y, _ = make_motor_imagery(1, 40, n_chans=5, difficulty=0.0, random_state=0)
    >>> bool(cross_val_score(make_tangent_space_lr(), X, y).mean() > 0.7)
    True
    """
    return Pipeline(
        [
            *_covariance_steps(sfreq, (low, high), covariance, recenter),
            ("tangentspace", TangentSpace(metric="riemann")),
            ("lr", LogisticRegression(C=C, max_iter=1000)),
        ]
    )


@register
def mutual_information(X, y) -> np.ndarray:
    """Estimate the mutual information of each feature and the labels, the same at each call.

    Parameters
    ----------
    X : ndarray, shape (n_trials, n_features)
        Features.
    y : ndarray, shape (n_trials,)
        Labels.

    Returns
    -------
    ndarray, shape (n_features,)

    Notes
    -----
    scikit-learn's estimate adds a little noise to the features; its seed is fixed here.

    Examples
    --------
    >>> import numpy as np
    >>> from skeeg.baselines import mutual_information
    >>> y = np.repeat([0, 1], 20)
    >>> mutual_information(np.column_stack([y, np.zeros(40)]), y).round(1).tolist()
    [0.7, 0.0]
    """
    return mutual_info_classif(X, y, random_state=0)


class Covariances(Kept, estimation.Covariances, auto_wrap_output_keys=None):
    """pyRiemann's covariances, which name the trials that have none.

    Parameters
    ----------
    estimator : str or callable, default="oas"
        How a trial's covariance is estimated, see ``pyriemann.estimation.Covariances``.

        - "oas" shrinks it towards uncorrelated channels.
        - "sign" is the same of samples that are all as loud: what differs between trials is where in the head
          the power is, not how much of it there is, and loud samples count as others do.
        - Others of pyRiemann's, such as "tyl", are not shrunk, and refuse average references.

    Attributes
    ----------
    power_ : float
        Median power of the trials of ``fit``.

    Raises
    ------
    ValueError
        When trials are flat, or of one channel, of which "sign" leaves nothing.

    Notes
    -----
    "sign": the spatial sign covariance of Visuri, Koivunen & Oja (2000), "Sign and rank covariance matrices",
    Journal of Statistical Planning and Inference 91(2), shrunk (OAS).
    """

    _learned = {"power_": learned.number(0)}
    kwds = {}  # options of pyRiemann's estimators

    def __init__(self, estimator="oas"):
        self.estimator = estimator

    def fit(self, X, y=None):
        if self.estimator in _SCALE_FREE and X.shape[1] == 1:
            raise ValueError(
                f'covariance="{self.estimator}" compares channels, but trials have one: give covariance="oas"'
            )
        self.power_ = float(np.median(_powers(X)))
        return super().fit(X, y)

    def transform(self, X):
        powerless = np.flatnonzero(_powers(X) <= _NO_POWER * self.power_).tolist()
        if powerless:
            raise ValueError(
                f"trials {powerless[:10]}{'...' * (len(powerless) > 10)} of {len(X)} are flat, and have no "
                "covariance that could be inverted. To drop them: faults = skeeg.find_faults(X); "
                "np.delete(X, faults.trials, axis=0), and of y"
            )
        if self.estimator != "sign":
            return super().transform(X)
        loudness = np.sqrt(np.mean(np.square(X), axis=1, keepdims=True))
        return estimation.Covariances("oas").transform(X / np.where(loudness > 0, loudness, 1))

    def set_output(self, *, transform=None):
        """Leave covariances as they are: they are matrices, and no rows of a table."""
        return self

    def get_feature_names_out(self, input_features=None):
        """Get the names of the channels, as they were before."""
        return input_features


class CSP(Kept, ClassNamePrefixFeaturesOutMixin, spatialfilters.CSP):
    """pyRiemann's CSP that takes labels in any container, and trials of one channel as they are."""

    _learned = {name: learned.array_of_floats(None, None) for name in ("filters_", "patterns_")}

    @property
    def _n_features_out(self):
        return len(self.filters_)

    def fit(self, X, y):
        if X.shape[1] == 1:
            self.filters_ = self.patterns_ = np.ones((1, 1))
            return self
        return super().fit(X, np.asarray(y))


class TangentSpace(Kept, ClassNamePrefixFeaturesOutMixin, tangentspace.TangentSpace):
    """pyRiemann's tangent space, whose features have names."""

    _learned = steps.LEARNED["pyriemann.tangentspace.TangentSpace"]

    @property
    def _n_features_out(self):
        n_chans = len(self.reference_)
        return n_chans * (n_chans + 1) // 2


class MDM(Kept, ClassNamePrefixFeaturesOutMixin, classification.MDM):
    """pyRiemann's minimum distance to mean, whose distances have names."""

    _learned = steps.LEARNED["pyriemann.classification.MDM"]
    _loaders_choice = steps.RUNNING

    @property
    def _n_features_out(self):
        return len(self.classes_)


def _covariance_steps(sfreq, band, covariance, recenter):
    """(n_trials, n_chans, n_times) -> (n_trials, n_chans, n_chans) in the band."""
    steps = [("bandpass", BandPass(*band, sfreq)), ("covariances", Covariances(covariance))]
    if recenter is False:
        return steps
    alignment = EuclideanAlignment() if recenter is True else recenter
    if not isinstance(alignment, EuclideanAlignment):
        raise TypeError(
            f"recenter={recenter!r}: give True, False, or an alignment such as RiemannianAlignment()"
        )
    alignment = clone(alignment)  # each band has its own
    return [steps[0], (type(alignment).__name__.lower(), alignment), steps[1]]


def _csp_steps(sfreq, band, n_components, covariance, recenter):
    """(n_trials, n_chans, n_times) -> (n_trials, n_components) log power of the spatial filters."""
    return [*_covariance_steps(sfreq, band, covariance, recenter), ("csp", CSP(nfilter=n_components))]


def _shrunk_lda():
    return LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")


def _powers(X):
    """Mean square of each trial, (n_trials,)."""
    return np.array([np.mean(np.square(trial, dtype=np.float64)) for trial in np.asarray(X)])
