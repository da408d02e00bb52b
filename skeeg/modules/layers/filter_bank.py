"""Banks of band-pass filters, designed by MNE and SciPy, applied by FFT to whole batches of trials."""

from __future__ import annotations

import math
from numbers import Integral, Real

import numpy as np
import torch

from skeeg.modules.compute import (
    computes_plainly,
    has_values,
    n_samples,
)
from skeeg.modules.layers.spectral import fft_length

#: What ``filter_parameters`` may hold: the arguments of ``mne.filter.create_filter`` that shape a filter.
MNE_PARAMETERS = (
    "filter_length",
    "l_trans_bandwidth",
    "h_trans_bandwidth",
    "method",
    "iir_params",
    "phase",
    "fir_window",
    "fir_design",
)

#: Filter banks that have a name.
BANKS = ("fir", "chebyshev2")

# What no bank of EEG needs, and what would take gigabytes, or hours: a file may ask for it, or a slip.
_MOST_BANDS, _MOST_TAPS, _HIGHEST_ORDER = 1000, 2**22, 100

_STOP_MARGIN = 2.0  # Hz from the edges of a band to those of the stop band of "chebyshev2"


def make_bands(n_bands, sfreq=None, margin=0.0):
    """Turn a description of frequency bands into a list of them.

    Parameters
    ----------
    n_bands : int, None or list of (float, float)
        A number of bands of 4 Hz from 4 Hz upwards (9: 4-8, 8-12, ..., 36-40 Hz), the bands themselves,
        or None for the nine bands from 4 to 40 Hz.
    sfreq : float, optional
        Sampling rate in Hz, to check the bands against; unchecked when not given.
    margin : float, default=0.0
        Distance in Hz that bands must keep from 0 and from half the sampling rate.

    Returns
    -------
    list of (float, float)
        Lower and upper edge of each band in Hz.

    Raises
    ------
    ValueError
        When there is no band, a band is empty, or it leaves the range from 0 to ``sfreq / 2``; when there are
        more than 1000.

    Examples
    --------
    >>> make_bands(3)
    [(4.0, 8.0), (8.0, 12.0), (12.0, 16.0)]
    """
    if n_bands is None:
        n_bands = 9
    if isinstance(n_bands, Integral):
        bands = [(4.0 * i, 4.0 * (i + 1)) for i in range(1, min(n_bands, _MOST_BANDS + 1) + 1)]
    else:
        try:
            bands = [(float(low), float(high)) for low, high in n_bands]
        except (TypeError, ValueError):
            raise ValueError(
                f"n_bands={n_bands!r} must be a whole number, None or a list of (low, high) in Hz"
            ) from None
    if not bands:
        raise ValueError(f"n_bands={n_bands!r} holds no band; give at least one")
    if len(bands) > _MOST_BANDS:
        raise ValueError(f"n_bands stands for more than {_MOST_BANDS} bands; give fewer")
    top = math.inf if sfreq is None else sfreq / 2 - margin
    for low, high in bands:
        if not low < high:
            raise ValueError(
                f"n_bands: the band ({low:g}, {high:g}) Hz is empty; give (low, high), low < high"
            )
        if low <= margin or high >= top:
            raise ValueError(
                f"n_bands={n_bands!r}: the band ({low:g}, {high:g}) Hz is out of reach; bands must lie above "
                f"{margin:g} Hz"
                + ("" if sfreq is None else f" and below {top:g} Hz at a sampling rate of {sfreq:g} Hz")
            )
    return bands


class FilterBankDesign:
    """Bank of band-pass filters for trials in PyTorch tensors.

    It computes what ``mne.filter.filter_data`` gives for each trial and band, to rounding.

    Parameters
    ----------
    n_bands : int, None or list of (float, float)
        Bands, see ``make_bands``.
    sfreq : float
        Sampling rate in Hz.
    filter_parameters : dict, {"fir", "chebyshev2"} or None, default=None
        Arguments of ``mne.filter.create_filter``: filter_length, l_trans_bandwidth, h_trans_bandwidth,
        method, iir_params, phase, fir_window, fir_design. None and ``"fir"`` are MNE's defaults, a
        zero-phase windowed FIR filter. ``"chebyshev2"`` is the causal bank of FBCNet and LightConvNet:
        Chebyshev II filters of order 4, 30 dB down from 2 Hz outside of the band on.
    verbose : bool, default=False
        Let MNE describe the filters that it designs.

    Attributes
    ----------
    bands : list of (float, float)
        Edges in Hz.
    is_convolution : bool
        Whether each filter is a convolution of the (extended) trial, so that ``spectrum`` and
        ``response`` describe it; not so for IIR filters run forward and backward.

    Raises
    ------
    ValueError
        When a band leaves the usable range, or ``filter_parameters`` has an unknown name.

    Notes
    -----
    Edges are treated as MNE treats them: for FIR filters a trial is extended by point reflection at its
    ends, up to its own length, then by zeros; zero-phase IIR filters extend it likewise and start in the
    steady state; causal ones (``phase="forward"``, "chebyshev2") start from rest. All of this is linear
    in the trial and differentiable.

    ``{"method": "iir", "iir_params": {"ftype": "cheby2", "order": 4, "rs": 30}, "phase": "forward"}`` is the
    filter of "chebyshev2", but for SciPy and MNE the edges of a Chebyshev II filter are those of its stop
    band: give bands that are 2 Hz wider on both sides.

    References
    ----------
    Mane, Chew, Chua, Ang, Robinson, Vinod, Lee, Guan (2021), FBCNet: A Multi-view Convolutional Neural
    Network for Brain-Computer Interface, arXiv 2104.01233.

    Examples
    --------
    >>> bank = FilterBankDesign([(8, 12), (12, 30)], sfreq=250)
    >>> bank(torch.randn(5, 22, 1000)).shape
    torch.Size([5, 2, 22, 1000])
    """

    def __init__(self, n_bands, sfreq, filter_parameters=None, verbose=False):
        if isinstance(filter_parameters, str) and filter_parameters not in BANKS:
            raise ValueError(
                f"filter_parameters={filter_parameters!r} must be a dict of MNE's filter arguments or one of "
                + ", ".join(BANKS)
            )
        chebyshev2 = filter_parameters == "chebyshev2"
        self.bands = make_bands(n_bands, sfreq, margin=_STOP_MARGIN if chebyshev2 else 0.0)
        self.sfreq = sfreq
        if chebyshev2:
            self._method, self._phase = "iir", "forward"
            self._filters = [
                {"sos": _chebyshev2(low - _STOP_MARGIN, high + _STOP_MARGIN, sfreq)}
                for low, high in self.bands
            ]
        else:
            arguments = {} if filter_parameters in (None, "fir") else dict(filter_parameters)
            unknown = sorted(set(arguments) - set(MNE_PARAMETERS))
            if unknown:
                raise ValueError(
                    f"filter_parameters: {', '.join(unknown)} unknown; choose from "
                    + ", ".join(MNE_PARAMETERS)
                )
            self._method = "iir" if arguments.get("method") == "iir" else "fir"
            self._phase = arguments.get("phase", "zero")
            self._filters = [self._design(low, high, arguments, verbose) for low, high in self.bands]
        self.is_convolution = self._method == "fir" or self._phase == "forward"
        self._responses = {}

    def _design(self, low, high, arguments, verbose):
        from mne.filter import create_filter

        if self._method == "fir" and self._most_taps(low, high, arguments) * len(self.bands) > _MOST_TAPS:
            raise ValueError(
                f"the filters of {len(self.bands)} bands would have more than {_MOST_TAPS} taps at a "
                f"sampling rate of {self.sfreq:g} Hz; give fewer bands, a filter_length or wider transitions"
            )
        order = dict(arguments.get("iir_params") or {}).get("order", 4)
        if isinstance(order, Real) and order > _HIGHEST_ORDER:
            raise ValueError(
                f"filter_parameters: order={order} is more than {_HIGHEST_ORDER}; give a lower one"
            )
        arguments = {**arguments, "verbose": "INFO" if verbose else "ERROR"}
        if self._method == "iir":  # MNE's default of iir_params is for filter_data alone
            arguments["iir_params"] = dict(arguments.get("iir_params") or {"order": 4, "ftype": "butter"})
        return create_filter(None, self.sfreq, low, high, **arguments)

    def _most_taps(self, low, high, arguments):
        """Taps that MNE's FIR filter will have at most."""
        length = arguments.get("filter_length", "auto")
        if isinstance(length, Real):
            return length
        if isinstance(length, str) and length != "auto":  # "10s", "500ms"
            number, unit = length.rstrip("ms"), 1e-3 if length.endswith("ms") else 1
            return float(number) * unit * self.sfreq if number.replace(".", "", 1).isdigit() else 0
        lower, upper = (arguments.get(f"{side}_trans_bandwidth", "auto") for side in "lh")
        lower = min(max(low / 4, 2.0), low) if lower == "auto" else lower
        upper = min(max(high / 4, 2.0), self.sfreq / 2 - high) if upper == "auto" else upper
        if not all(isinstance(width, Real) and width > 0 for width in (lower, upper)):
            return 0  # MNE says what is wrong
        # the longest window takes 5 divided by the transition in Hz, and "firwin2" twice that
        return 10 * self.sfreq / min(lower, upper)

    def _kernels(self, n_times):
        """Impulse responses: per band the lag in samples of its first tap, and the taps."""
        if self._method == "iir":
            impulse = np.zeros(n_times)
            impulse[0] = 1
            return [(0, _run(system, impulse)) for system in self._filters]
        kernels = []
        for taps in self._filters:
            if self._phase == "zero-double":
                taps = np.convolve(taps, taps[::-1])
            kernels.append((-((len(taps) - 1) // 2) if self._phase.startswith("zero") else 0, taps))
        return kernels

    def _extents(self, n_times):
        """Samples by which filters reach back and ahead, how many of them are reflected, FFT length."""
        kernels = self._kernels(n_times)
        back = max(first + len(taps) - 1 for first, taps in kernels)
        ahead = max(-first for first, _ in kernels)
        limit = 0 if self._method == "iir" else n_times - 1
        return min(back, limit), min(ahead, limit), fft_length(n_times + back + ahead)

    def extents_and_response(self, n_times, x):
        """Left and right extent, length of transforms, and response, for trials like x; computed once."""
        key = n_times, torch.finfo(x.dtype).bits, x.device
        if key not in self._responses:
            left, right, n_fft = self._extents(n_times)
            response = np.empty((len(self.bands), n_fft // 2 + 1), complex)
            for band, (first, taps) in enumerate(self._kernels(n_times)):
                kernel = np.zeros(n_fft)
                np.add.at(kernel, np.arange(first, first + len(taps)) % n_fft, taps)
                response[band] = np.fft.rfft(kernel)
            if self._method == "fir" and self._phase.startswith("zero"):
                response = response.real  # symmetric about lag 0
            with torch.inference_mode(False):  # it will serve in training too
                response = torch.tensor(response, device=x.device)
                if key[1] == 32:
                    response = response.to(torch.complex64 if response.is_complex() else torch.float32)
            if not has_values(response):
                return left, right, n_fft, response
            self._responses[key] = left, right, n_fft, response
        return self._responses[key]

    def spectrum(self, x):
        """Fourier transform of trials, extended beyond their ends as filtering needs it.

        Parameters
        ----------
        x : torch.Tensor, shape (..., n_times)
            Trials.

        Returns
        -------
        torch.Tensor, shape (..., n_freqs), complex
            ``invert(spectrum * response)`` is the filtered trial.
        """
        left, right, n_fft, _ = self.extents_and_response(n_samples(x), x)
        return torch.fft.rfft(extend(x, left, right, n_fft))

    def response(self, n_times, like):
        """Frequency response of the bank at the frequencies of ``spectrum``.

        Parameters
        ----------
        n_times : int
            Samples in a trial.
        like : torch.Tensor
            A tensor of the precision and on the device that are wanted.

        Returns
        -------
        torch.Tensor, shape (n_bands, n_freqs)
            Real for zero-phase filters, complex otherwise.
        """
        return self.extents_and_response(n_times, like)[3]

    def magnitudes(self, frequencies):
        """Magnitude responses of the filters as they are applied, forward and backward where they are.

        Parameters
        ----------
        frequencies : ndarray, shape (n_freqs,)
            Frequencies in cycles a sample, 0 to 0.5.

        Returns
        -------
        ndarray, shape (n_bands, n_freqs)
        """
        from scipy.signal import freqz, sosfreqz

        angles, found = 2 * np.pi * frequencies, []
        for system in self._filters:
            if self._method == "iir" and "sos" in system:
                found.append(sosfreqz(system["sos"], angles)[1])
            else:
                b, a = (system, 1.0) if self._method == "fir" else (system["b"], system["a"])
                found.append(freqz(b, a, angles)[1])
        twice = self._phase == "zero-double" or (self._method == "iir" and self._phase != "forward")
        return np.abs(found) ** (2 if twice else 1)

    def invert(self, spectrum, n_times):
        """Back to time: (..., n_freqs), complex -> (..., n_times)."""
        return torch.fft.irfft(spectrum, self.extents_and_response(n_times, spectrum)[2])[..., :n_times]

    def __call__(self, x):
        """Filter trials.

        Parameters
        ----------
        x : torch.Tensor, shape (n_trials, n_chans, n_times), float32 or float64
            Trials.

        Returns
        -------
        torch.Tensor, shape (n_trials, n_bands, n_chans, n_times)
            The trials in each band. Beside it, memory for a few trials is needed.
        """
        n_trials, n_chans, n_times = x.shape
        step = max(1, 2**20 // (len(self.bands) * n_chans * n_times))  # a few MB at a time stay in cache
        if n_trials <= step or computes_plainly():
            return self._filter(x)
        filtered = x.new_empty(n_trials, len(self.bands), n_chans, n_times)
        for start in range(0, n_trials, step):
            filtered[start : start + step] = self._filter(x[start : start + step])
        return filtered

    def _filter(self, x):
        n_times = n_samples(x)
        if self.is_convolution:
            # (n_trials, 1, n_chans, n_freqs) * (n_bands, 1, n_freqs)
            banded = self.spectrum(x).unsqueeze(1) * self.response(n_times, x).unsqueeze(1)
            return self.invert(banded, n_times)
        return torch.stack([_forward_backward(system, x) for system in self._filters], 1)


def _chebyshev2(low_stop, high_stop, sfreq):
    """Second-order sections of the authors' filter, 30 dB down outside of (low_stop, high_stop)."""
    from scipy.signal import cheby2

    return cheby2(4, 30, [low_stop, high_stop], "bandpass", output="sos", fs=sfreq)


def _run(system, x):
    """Filter x from rest by an IIR system as MNE describes it."""
    from scipy.signal import lfilter, sosfilt

    if "sos" in system:
        return sosfilt(system["sos"], x)
    return lfilter(system["b"], system["a"], x)


def _gain_at_zero(system):
    if "sos" in system:
        return float(np.prod(system["sos"][:, :3].sum(1) / system["sos"][:, 3:].sum(1)))
    return float(np.sum(system["b"]) / np.sum(system["a"]))


def extend(x, left, right, n_fft):
    """Reflect x in its end points, with the samples before the first one at the end of n_fft samples."""
    n_times = n_samples(x)
    after = 2 * x[..., -1:] - x[..., n_times - 1 - right : -1].flip(-1)
    before = 2 * x[..., :1] - x[..., 1 : left + 1].flip(-1)
    zeros = x.new_zeros(()).expand(*x.shape[:-1], n_fft - n_times - left - right)
    return torch.cat([x, after, zeros, before], -1)


def extend_adjoint(extended, left, right, n_times):
    """The transpose of ``extend``, which turns gradients of its output into those of its input."""
    n_fft = extended.shape[-1]
    x = extended[..., :n_times].clone()
    ahead, back = extended[..., n_times : n_times + right], extended[..., n_fft - left :]
    x[..., -1] += 2 * ahead.sum(-1)
    x[..., n_times - 1 - right : n_times - 1] -= ahead.flip(-1)
    x[..., 0] += 2 * back.sum(-1)
    x[..., 1 : left + 1] -= back.flip(-1)
    return x


def _forward_backward(system, x):
    """Zero-phase IIR filtering, from the steady state of the first sample in both directions.

    Starting in the steady state of x[0] is to filter x - x[0] from rest and to add x[0] times the gain
    at frequency 0; filtering from rest is a convolution with the impulse response.
    """
    n_times = n_samples(x)
    pad = min(system["padlen"], n_times - 1)
    length = n_times + 2 * pad
    impulse = np.zeros(length)
    impulse[0] = 1
    n_fft = fft_length(2 * length)
    response = torch.fft.rfft(torch.tensor(_run(system, impulse), dtype=x.dtype, device=x.device), n_fft)
    gain = _gain_at_zero(system)

    def forward(x):
        steady = x[..., :1]
        return (
            torch.fft.irfft(torch.fft.rfft(x - steady, n_fft) * response, n_fft)[..., :length] + gain * steady
        )

    extended = extend(x, pad, pad, length).roll(pad, -1)
    return forward(forward(extended).flip(-1)).flip(-1)[..., pad : pad + n_times]
