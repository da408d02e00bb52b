"""Temporal filters: which frequencies pass, in Hz, and in which bands at least half of the amplitude does."""

from __future__ import annotations

import numpy as np

from skeeg.inspection.carrying import unpacked
from skeeg.inspection.style import GREEN, VERMILION, axes_or_new

_STEPS = 2048  # between 0 and half of the sampling rate
_HALF = 0.5  # of the largest magnitude: -6 dB
_LOWEST = -24.0  # dB that are drawn


def half_amplitude_bands(gains, sfreq):
    """Get the -6 dB band of each filter: around its peak, where at least half of its amplitude passes.

    Parameters
    ----------
    gains : callable
        Frequencies in cycles a sample, (n_freqs,) -> magnitude responses, (n_filters, n_freqs).
    sfreq : float or None
        Sampling rate in Hz; None gives NaN.

    Returns
    -------
    ndarray, shape (n_filters, 2)
        Lower and upper edges in Hz; 0 or ``sfreq / 2`` where a band reaches that far.

    Examples
    --------
    >>> from skeeg.inspection.spectra import half_amplitude_bands
    >>> triangle = lambda f: np.maximum(0, 1 - np.abs(f - 0.1) / 0.04)[np.newaxis]
    >>> half_amplitude_bands(triangle, sfreq=100.0).round(2).tolist()
    [[8.0, 12.0]]
    """
    frequencies = np.linspace(0, 0.5, _STEPS + 1)
    magnitudes = gains(frequencies)
    if sfreq is None:
        return np.full((len(magnitudes), 2), np.nan)
    return np.array([_band(frequencies * sfreq, magnitude) for magnitude in magnitudes])


def _band(frequencies, magnitude):
    peak = int(magnitude.argmax())
    if not magnitude[peak] > 0:
        return np.nan, np.nan
    level = _HALF * magnitude[peak]
    edges = []
    for step in (-1, 1):
        place = peak
        while 0 <= place + step < len(magnitude) and magnitude[place + step] >= level:
            place += step
        edge = frequencies[place]
        if 0 <= place + step < len(magnitude):  # between the last above and the first below
            above, below = magnitude[place], magnitude[place + step]
            edge += (frequencies[place + step] - edge) * (above - level) / (above - below)
        edges.append(float(edge))
    return tuple(edges)


def magnitudes_of(module):
    """Get the function of frequencies in cycles a sample that gives the magnitude responses of a network."""
    import torch

    return lambda f: module.temporal_response(torch.from_numpy(np.asarray(f))).abs().numpy()


def find_spectra(estimator):
    """Find the magnitude response of every temporal filter of a decoder.

    Parameters
    ----------
    estimator : fitted classifier or Pipeline
        One of the networks, a network of one's own with ``temporal_response``, or one of
        :mod:`skeeg.baselines`, whose band-pass filters are fixed.

    Returns
    -------
    bands : DataFrame
        One row a filter: ``peak`` (Hz of its largest magnitude), ``low`` and ``high`` (-6 dB band around the
        peak, Hz) and ``others`` (largest magnitude outside of that band as a share of the peak's, above which
        a filter has more than one band).
    spectra : DataFrame, shape (n_freqs, n_filters)
        Magnitudes as shares of each filter's largest; the index is the frequency in Hz.

    Raises
    ------
    ValueError
        When there are no temporal filters, or the sampling rate is not known.

    Notes
    -----
    -6 dB is half of the amplitude. Filters that run forward and backward count twice. The response is that of
    the filter alone: what a Pipeline's own filters take away before is not part of it.

    Examples
    --------
    >>> from skeeg import SincShallowNetClassifier
    >>> from skeeg.datasets import make_motor_imagery
    >>> from skeeg.inspection import find_spectra
    >>> X, y, _ = make_motor_imagery(n_subjects=1, n_trials=40, n_chans=3, random_state=0)
    >>> bands, spectra = find_spectra(SincShallowNetClassifier(max_epochs=1, random_state=0).fit(X, y))
    >>> len(bands), spectra.shape[1]
    (32, 32)
    """
    import pandas as pd

    gains, sfreq = _gains(unpacked(estimator))
    if sfreq is None:
        raise ValueError(
            "the sampling rate is not known, and so no frequency in Hz: fit with sfreq=, or on mne.Epochs or "
            "skeeg.EEGArray"
        )
    frequencies = np.linspace(0, 0.5, _STEPS + 1)
    magnitudes = gains(frequencies)
    magnitudes = magnitudes / np.maximum(magnitudes.max(axis=1, keepdims=True), np.finfo(float).tiny)
    hertz = frequencies * sfreq
    bands = half_amplitude_bands(gains, sfreq)
    outside = (hertz < bands[:, :1]) | (hertz > bands[:, 1:])
    table = pd.DataFrame(
        {
            "peak": hertz[magnitudes.argmax(axis=1)],
            "low": bands[:, 0],
            "high": bands[:, 1],
            "others": np.where(outside, magnitudes, 0).max(axis=1),
        }
    )
    return table, pd.DataFrame(magnitudes.T, index=pd.Index(hertz, name="frequency"))


def _gains(steps):
    """Magnitude responses over frequencies in cycles a sample, and the sampling rate."""
    from sklearn.pipeline import FeatureUnion

    if hasattr(getattr(steps[-1], "module_", None), "temporal_response"):
        return magnitudes_of(steps[-1].module_), steps[-1].sfreq_
    banks = [step for step in steps if hasattr(step, "sos_")]
    for step in steps:
        if isinstance(step, FeatureUnion):
            banks += [
                inner for _, b in step.transformer_list for inner in unpacked(b) if hasattr(inner, "sos_")
            ]
    if not banks:
        raise ValueError(
            f"{type(steps[-1]).__name__} has no temporal filters that are known: skeeg's networks have, "
            "networks of your own that define temporal_response, and skeeg.baselines"
        )

    def gains(frequencies):
        from scipy.signal import sosfreqz

        found = [np.abs(sosfreqz(step.sos_, 2 * np.pi * frequencies)[1]) for step in banks]
        twice = [1 if step.causal else 2 for step in banks]
        return np.array([gain**power for gain, power in zip(found, twice, strict=True)])

    return gains, banks[0].sfreq_


class SpectraDisplay:
    """Magnitude responses of a decoder's temporal filters, with their -6 dB bands.

    Parameters
    ----------
    bands, spectra : DataFrame
        As of `find_spectra`.
    before : DataFrame, default=None
        Bands before training, where they are known.
    highest : float, default=None
        Highest frequency drawn, in Hz; by default as far as bands go.
    title : str, default=""
        Title of the axes.

    Attributes
    ----------
    bands, spectra : DataFrame
        The numbers.
    figure_ : matplotlib Figure
        The figure.
    ax_ : matplotlib Axes
        Axes drawn on.
    image_ : matplotlib image
        Magnitudes in dB, a row a filter, sorted by the middle of the band.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from skeeg.baselines import make_csp_lda
    >>> from skeeg.datasets import make_motor_imagery
    >>> from skeeg.inspection import SpectraDisplay
    >>> X, y, _ = make_motor_imagery(n_subjects=1, n_trials=40, n_chans=3, random_state=0)
    >>> display = SpectraDisplay.from_estimator(make_csp_lda().fit(X, y), ax=Figure().subplots())
    >>> display.bands[["low", "high"]].round().to_numpy().tolist()
    [[8.0, 30.0]]
    """

    def __init__(self, bands, spectra, before=None, *, highest=None, title=""):
        self.bands, self.spectra, self.before = bands, spectra, before
        self.highest, self.title = highest, title

    @classmethod
    def from_estimator(cls, estimator, *, highest=None, title="", ax=None):
        """Draw the filters of a fitted decoder.

        Parameters
        ----------
        estimator : fitted classifier or Pipeline
            As of `find_spectra`. Of SincShallowNet, whose filters begin at known bands, these are drawn too.
        highest : float, default=None
            Highest frequency drawn, in Hz; by default as far as bands go.
        title : str, default=""
            Title of the axes.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.

        Returns
        -------
        SpectraDisplay
        """
        bands, spectra = find_spectra(estimator)
        return cls(bands, spectra, _before(unpacked(estimator)), highest=highest, title=title).plot(ax=ax)

    def plot(self, ax=None):
        """Draw the figure.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.

        Returns
        -------
        SpectraDisplay
        """
        n_filters = len(self.bands)
        ax = axes_or_new(ax, 5.6, min(6.5, 1.6 + 0.22 * max(n_filters, 6)))
        self.ax_, self.figure_ = ax, ax.figure
        order = self.bands[["low", "high"]].mean(axis=1).sort_values(kind="stable").index.to_numpy()
        hertz = self.spectra.index.to_numpy()
        top = self.highest or min(hertz[-1], 1.25 * float(self.bands["high"].max()) + 5)
        shown = hertz <= top
        with np.errstate(divide="ignore"):
            decibels = 20 * np.log10(self.spectra.to_numpy()[shown][:, order].T)
        edges = np.arange(n_filters + 1) - 0.5
        step = hertz[1] / 2
        self.image_ = ax.pcolormesh(
            np.append(hertz[shown] - step, hertz[shown][-1] + step).clip(min=0),
            edges,
            decibels.clip(min=_LOWEST),
            cmap="Greys",
            vmin=_LOWEST,
            vmax=0,
            rasterized=True,
        )
        rows = np.arange(n_filters)
        if self.before is not None:
            ax.hlines(rows + 0.25, *self.before.loc[order, ["low", "high"]].to_numpy().T, color=GREEN, lw=1.5)
            ax.plot([], [], color=GREEN, lw=1.5, label="−6 dB band before training")
        ax.hlines(rows, *self.bands.loc[order, ["low", "high"]].to_numpy().T, color=VERMILION, lw=2)
        label = "−6 dB band" + (" after training" if self.before is not None else "")
        ax.plot([], [], color=VERMILION, lw=2, label=label)
        every = -(-n_filters // 20)
        ax.set_yticks(rows[::every], [str(number) for number in order[::every]], fontsize="small")
        ax.set(xlabel="Frequency (Hz)", ylabel="Temporal filter", xlim=(0, top), ylim=(-0.5, n_filters - 0.5))
        ax.set_title(self.title, parse_math=False, pad=24)
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False, fontsize="small")
        self.figure_.colorbar(self.image_, ax=ax, label="Magnitude (dB)", shrink=0.8)
        return self


def _before(steps):
    """Bands of a sinc network before training; of other networks they are random."""
    module = getattr(steps[-1], "module_", None)
    if not hasattr(module, "sinc_filter_layer"):
        return None
    import pandas as pd

    fresh = type(module).from_config(module.get_config())
    bands = half_amplitude_bands(magnitudes_of(fresh), steps[-1].sfreq_)
    return pd.DataFrame(bands, columns=["low", "high"])
