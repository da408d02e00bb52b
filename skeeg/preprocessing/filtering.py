"""Filtering: one band of frequencies, or several beside each other."""

from __future__ import annotations

from numbers import Integral

import numpy as np
from scipy import signal
from sklearn.utils._param_validation import Interval

from skeeg.persistence import learned
from skeeg.preprocessing.base import POSITIVE, RatedTransformer
from skeeg.trials import typical_scale, warn_of_other_units


class BandPass(RatedTransformer):
    """Keep a band of frequencies: a Butterworth filter of SciPy.

    Parameters
    ----------
    low : float or None, default=8.0
        Lower edge in Hz (-3 dB, -6 dB for the zero-phase filter); None keeps everything under ``high``.
    high : float or None, default=30.0
        Upper edge in Hz; None keeps everything over ``low``.
    sfreq : float, optional
        Sampling rate in Hz; that of X when it is an ``mne.Epochs`` or :class:`skeeg.EEGArray`.
    order : int, default=4
        Order of the filter (of its low-pass prototype).
    causal : bool, default=False
        Filter forward alone, as one must online; by default forward and backward, without phase shift.

    Attributes
    ----------
    sfreq_ : float
        Sampling rate in Hz.
    scale_ : float
        Median standard deviation of a channel in fit; trials of another unit are warned of.
    sos_ : ndarray of float64, shape (n_sections, 6)
        Second-order sections of the filter.
    n_chans_ : int
        Number of channels.
    ch_names_ : tuple of str or None
        Channel names, where X has them.

    Raises
    ------
    ValueError
        When a parameter, the shape of X, its channels or its sampling rate are wrong, or X is not finite.

    See Also
    --------
    FilterBank : Several bands at once.
    skeeg.datasets.load_epochs : Filters recordings before they are cut.

    Notes
    -----
    Short trials ring at their ends; cut longer ones and :class:`Crop` them afterwards where there are any.
    The zero-phase filter extends each trial by its point reflection (``scipy.signal.sosfiltfilt``).

    Examples
    --------
    >>> import numpy as np
    >>> from skeeg.preprocessing import BandPass
    >>> time = np.arange(1000) / 250
    >>> X = np.array([[np.sin(2 * np.pi * 10 * time), np.sin(2 * np.pi * 50 * time)]])
    >>> BandPass(8, 30, sfreq=250).fit_transform(X).std(axis=2).round(1).tolist()
    [[0.7, 0.0]]
    """

    _learned = RatedTransformer._learned | {
        "scale_": learned.number(0),
        "sos_": learned.array(np.float64, None, 6),
    }
    _parameter_constraints = {
        "low": [POSITIVE, None],
        "high": [POSITIVE, None],
        "sfreq": [POSITIVE, None],
        "order": [Interval(Integral, 1, 100, closed="both")],
        "causal": ["boolean"],
    }

    def __init__(self, low=8.0, high=30.0, sfreq=None, *, order=4, causal=False):
        self.low = low
        self.high = high
        self.sfreq = sfreq
        self.order = order
        self.causal = causal

    def _learn(self, trials):
        self.scale_ = typical_scale(trials.data)
        self.sos_ = self._sections()

    def _sections(self):
        edges = [float(edge) for edge in (self.low, self.high) if edge is not None]
        if not edges or edges != sorted(set(edges)) or edges[-1] >= self.sfreq_ / 2:
            raise ValueError(
                f"low={self.low}, high={self.high} is no band at a sampling rate of {self.sfreq_} Hz: "
                f"expected low < high < {self.sfreq_ / 2} Hz, one of them may be None"
            )
        kind = "bandpass" if len(edges) == 2 else "lowpass" if self.low is None else "highpass"
        edges = edges if len(edges) == 2 else edges[0]
        return signal.butter(int(self.order), edges, kind, output="sos", fs=self.sfreq_)

    def _check_loaded(self):
        sections = self._sections()
        if self.sos_.shape != sections.shape or not np.allclose(self.sos_, sections, rtol=1e-4, atol=1e-9):
            raise ValueError("BandPass.sos_ is not the filter that its parameters describe")

    def _transform(self, trials):
        warn_of_other_units(trials.data, self.scale_)
        # SciPy's default reflection, or as much of it as a short trial can give.
        sos = np.array(self.sos_)  # SciPy wants memory that it could write to, joblib's maps are not
        reflection = min(3 * (2 * len(self.sos_) + 1), trials.data.shape[2] - 1)
        filtered = np.empty_like(trials.data)
        for trial, out in zip(trials.data, filtered, strict=True):  # SciPy computes in float64: one at a time
            if self.causal:
                out[...] = signal.sosfilt(sos, trial)
            else:
                out[...] = signal.sosfiltfilt(sos, trial, padlen=reflection)
        return trials.wrap(filtered)


class FilterBank(RatedTransformer):
    """Split trials into frequency bands.

    Parameters
    ----------
    n_bands : int or list of (float, float), default=9
        A number of bands of 4 Hz from 4 Hz upwards (9: 4-8, 8-12, ..., 36-40 Hz), or the bands in Hz.
    sfreq : float, optional
        Sampling rate in Hz; that of X when it is an ``mne.Epochs`` or :class:`skeeg.EEGArray`.
    filter_parameters : dict or {"fir", "chebyshev2"}, optional
        Arguments of ``mne.filter.create_filter``, or a bank by name, see
        :class:`skeeg.modules.layers.filter_bank.FilterBankDesign`; MNE's zero-phase FIR filters by default.

    Attributes
    ----------
    bands_ : list of (float, float)
        Edges in Hz.
    sfreq_ : float
        Sampling rate in Hz.
    scale_ : float
        Median standard deviation of a channel in fit; trials of another unit are warned of.
    n_chans_ : int
        Number of channels.
    ch_names_ : tuple of str or None
        Channel names, where X has them.

    Raises
    ------
    ValueError
        When a parameter, the shape of X, its channels or its sampling rate are wrong, or X is not finite.

    See Also
    --------
    BandPass : One band.

    Notes
    -----
    ``transform`` gives trials in each band, (n_trials, n_bands, n_chans, n_times).

    ``FBLightConvNetClassifier`` has the filter bank inside and takes plain trials.

    Examples
    --------
    >>> import numpy as np
    >>> from skeeg.preprocessing import FilterBank
    >>> FilterBank([(8, 12), (12, 30)], sfreq=250).fit_transform(np.ones((5, 3, 500))).shape
    (5, 2, 3, 500)
    """

    _learned = RatedTransformer._learned | {
        "scale_": learned.number(0),
        "bands_": learned.sequence(learned.band),
    }
    _parameter_constraints = {
        "n_bands": [Interval(Integral, 1, None, closed="left"), list],
        "sfreq": [POSITIVE, None],
        "filter_parameters": [dict, str, None],
    }

    def __init__(self, n_bands=9, sfreq=None, filter_parameters=None):
        self.n_bands = n_bands
        self.sfreq = sfreq
        self.filter_parameters = filter_parameters

    def _learn(self, trials):
        self.scale_ = typical_scale(trials.data)
        self.bands_ = self._design().bands

    def _check_loaded(self):
        if self.bands_ != self._design().bands:
            raise ValueError("FilterBank.bands_ are not those that its parameters describe")

    def _transform(self, trials):
        import torch

        warn_of_other_units(trials.data, self.scale_)
        data = trials.data if trials.data.flags.writeable else trials.data.copy()
        return self._design()(torch.from_numpy(data)).numpy()

    def _design(self):
        """Filters: designed when they are needed, in milliseconds, so that saved banks are plain values."""
        from skeeg.modules.layers.filter_bank import FilterBankDesign

        return FilterBankDesign(self.n_bands, self.sfreq_, self.filter_parameters)
