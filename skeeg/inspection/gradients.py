"""Gradients of a network at its trials, by Captum, and whether maps of them survive randomisation."""

from __future__ import annotations

import copy
from numbers import Integral

import numpy as np
from scipy.fft import rfft, rfftfreq
from scipy.ndimage import uniform_filter1d
from scipy.stats import spearmanr
from sklearn.base import clone
from sklearn.utils._param_validation import Interval, StrOptions, validate_params

from skeeg.inspection.carrying import carry, labels_of, unpacked
from skeeg.inspection.electrodes import draw_topography, find_info
from skeeg.inspection.style import color_of, draw_legend, figure_or_new, line_of, names_of, open_frame
from skeeg.plain import plain

METHODS = ("integrated_gradients", "gradient_x_input", "smoothgrad")
_SURVIVES = (
    0.5  # rank correlation from which on a map is taken to be that of something else than the training
)
_BATCH = 32


class Attributions:
    """Which samples of which electrodes speak for a class; made by `find_attributions`.

    Attributes
    ----------
    maps : ndarray of float32, shape (n_trials, n_electrodes, n_times)
        Contribution of each sample to the evidence for the trial's own class (its logit less the mean of the
        others), at the electrodes.
    labels : ndarray, shape (n_trials,)
        Class of each trial.
    classes : list
        Labels.
    topographies : DataFrame, shape (n_classes, n_electrodes)
        Contributions of an electrode, summed over the trial, mean over the trials of a class.
    spectra : DataFrame, shape (n_freqs, n_classes)
        Contributions of each frequency (index, Hz), which add up to those of the whole trial.
    courses : DataFrame, shape (n_times, n_classes)
        Contributions of each time (index, s after the first sample), summed over electrodes.
    sanity : DataFrame
        Rows "weights" and "labels", what was randomised: ``similarity`` (Spearman's correlation of the
        magnitudes of a trial's maps before and after, median over trials), ``survives`` (above 0.5: the map
        does not show what was learned).
    random_topographies : dict of str -> ndarray, shape (n_classes, n_electrodes)
        Topographies of the networks with randomised weights and labels.
    method : str
        How gradients were made into contributions.
    ch_names : list of str or None
        Names of the electrodes.
    """

    def __init__(self, maps, labels, classes, view, method):
        import pandas as pd

        self.maps, self.labels, self.classes, self.method = maps, labels, classes, method
        self.ch_names = None if view.ch_names is None else list(view.ch_names)
        names = self.ch_names or list(range(maps.shape[1]))
        sfreq = view.sfreq or 1.0
        self.topographies = pd.DataFrame(_topographies(maps, labels, classes), classes, names)
        courses = [maps[labels == label].sum(axis=1).mean(axis=0) for label in classes]
        times = pd.Index(np.arange(maps.shape[2]) / sfreq, name="time")
        self.courses = pd.DataFrame(np.array(courses).T, times, classes)


@validate_params(
    {
        "method": [StrOptions(set(METHODS))],
        "n_steps": [Interval(Integral, 2, None, closed="left")],
        "randomise": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def find_attributions(
    estimator,
    X,
    y=None,
    *,
    groups=None,
    method="integrated_gradients",
    n_steps=32,
    train=None,
    randomise=True,
    random_state=0,
):
    """Find which samples of which electrodes speak for a class in a network, and check that it is learned.

    Parameters
    ----------
    estimator : fitted classifier or Pipeline
        Any :class:`skeeg.EEGClassifier`, alone or behind transformers that are linear.
    X : array-like or mne.Epochs, shape (n_trials, n_chans, n_times)
        Trials, best of people that it was not trained on; some dozens are enough.
    y : array-like, shape (n_trials,), default=None
        Labels, of which contributions are asked; those that X knows by default.
    groups : array-like, shape (n_trials,), default=None
        Subject of each trial, which alignments read.
    method : {"integrated_gradients", "gradient_x_input", "smoothgrad"}, default="integrated_gradients"
        Gradient at the trial, at the trial with noise of a tenth of its standard deviation (mean over
        ``n_steps``), or the mean along the straight way from zero to the trial in ``n_steps``; each times the
        trial.
    n_steps : int, default=32
        Steps, or noises.
    train : tuple (X, y), default=None
        Trials to train the network of randomised labels on; ``X`` and ``y`` by default.
    randomise : bool, default=True
        Do both sanity checks; the second one trains the network anew.
    random_state : int, default=0
        Decides noise, and what is randomised.

    Returns
    -------
    Attributions

    Raises
    ------
    ImportError
        Without Captum: ``pip install "skeeg[captum]"``.
    ValueError
        When the estimator is no network, or labels are unknown.

    Notes
    -----
    Sundararajan, Taly, Yan (2017), "Axiomatic attribution for deep networks", ICML: the contributions of
    integrated gradients add up to the evidence for the trial less that for silence. Gradients go through the
    linear steps of a Pipeline back to the electrodes.

    Adebayo et al. (2018), "Sanity checks for saliency maps", NeurIPS, found that many maps look the same for
    an untrained network, and Sujatha Ravindran & Contreras-Vidal (2023), "An empirical comparison of deep
    learning explainability approaches for EEG", Scientific Reports 13, that this is so for EEG:
    contributions contain the trial itself. So maps come with the same of a network whose weights are
    shuffled within each parameter, and of one trained on shuffled labels.

    Captum's DeepLIFT replaces what activation modules do in the backward pass; skeeg's networks compute
    theirs inside of other layers, so it is not offered: it would be the gradient without a word.

    Examples
    --------
    >>> import pytest
    >>> captum = pytest.importorskip("captum")
    >>> from skeeg import SincShallowNetClassifier
    >>> from skeeg.datasets import make_motor_imagery
    >>> from skeeg.inspection import find_attributions
    >>> X, y, _ = make_motor_imagery(n_subjects=1, n_trials=40, n_chans=8, random_state=0)
    >>> network = SincShallowNetClassifier(max_epochs=1, random_state=0).fit(X, y)
    >>> find_attributions(network, X[:8], y[:8], train=(X, y)).sanity.index.tolist()
    ['weights', 'labels']
    """
    import pandas as pd

    steps = unpacked(estimator)
    network = steps[-1]
    if not hasattr(network, "module_"):
        raise ValueError(
            f"{type(network).__name__} has no gradients; skeeg's networks have. "
            "skeeg.inspection.find_importance asks any classifier"
        )
    view, _ = carry(steps, X, groups)
    y = labels_of(y, view.labels, len(view.given), network.classes_)
    settings = method, plain(n_steps), plain(random_state)
    maps, spectra = _contributions(network, network.module_, view, y, *settings)
    classes = [label for label in network.classes_.tolist() if (y == label).any()]
    found = Attributions(maps, y, classes, view, method)
    hertz = pd.Index(rfftfreq(maps.shape[2], 1 / (view.sfreq or 1.0)), name="frequency")
    of_classes = [spectra[y == label].mean(axis=0) for label in classes]
    found.spectra = pd.DataFrame(np.array(of_classes).T, hertz, classes)
    found.sanity, found.random_topographies = pd.DataFrame(columns=["similarity", "survives"]), {}
    if not randomise:
        return found
    others = {"weights": _shuffled(network.module_, random_state)}
    train_X, train_y = (X, y) if train is None else train
    random = np.random.default_rng(random_state)
    trained = carry(steps, train_X, None if train is not None else groups)[0].given
    again = clone(network).set_params(verbose=0, callbacks=None)
    if again.pretrained is not None:
        again.set_params(pretrained=None, freeze_encoder=False)
    if again.sfreq is None:
        again.set_params(sfreq=network.sfreq_)
    others["labels"] = again.fit(trained.astype(np.float32), random.permutation(np.asarray(train_y))).module_
    rows = {}
    for name, module in others.items():
        mapped = network if name == "weights" else again
        changed, _ = _contributions(mapped, module, view, y, *settings)
        alike = [_rank_correlation(one, other) for one, other in zip(maps, changed, strict=True)]
        similarity = float(np.nanmedian(alike))
        rows[name] = {"similarity": similarity, "survives": similarity > _SURVIVES}
        found.random_topographies[name] = _topographies(changed, y, classes)
    found.sanity = pd.DataFrame.from_dict(rows, orient="index")
    return found


def _topographies(maps, labels, classes):
    return np.array([maps[labels == label].sum(axis=2).mean(axis=0) for label in classes])


def _rank_correlation(one, other):
    one, other = np.abs(one).ravel(), np.abs(other).ravel()
    return np.nan if one.std() == 0 or other.std() == 0 else spearmanr(one, other).statistic


def _shuffled(module, seed):
    """A copy whose parameters have their entries in another order."""
    import torch

    module = copy.deepcopy(module).eval()
    generator = torch.Generator().manual_seed(seed or 0)
    with torch.no_grad():
        for parameter in module.parameters():
            order = torch.randperm(parameter.numel(), generator=generator)
            parameter.copy_(parameter.flatten()[order.to(parameter.device)].view_as(parameter))
    return module


def _contributions(network, module, view, y, method, n_steps, seed):
    """Contributions (n_trials, n_electrodes, n_times), and those of frequencies (n_trials, n_freqs)."""
    import torch

    attribute = _gradients(network, module, method, n_steps)
    codes = np.searchsorted(network.classes_, y)
    back = view.channel_map()  # (n_chans, n_electrodes)
    maps = np.empty(view.electrodes.shape, dtype=np.float32)
    spectra = np.empty((len(y), view.electrodes.shape[2] // 2 + 1))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed or 0)
        for start in range(0, len(y), _BATCH):
            rows = slice(start, start + _BATCH)
            given = torch.as_tensor(view.given[rows].astype(np.float32), device=network.device_)
            target = torch.as_tensor(codes[rows], device=network.device_)
            gradient = attribute(given.requires_grad_(), target).detach().cpu().numpy()
            # what transformers took off (means) is part of the network's constant, as zero is its silence
            electrodes = view.electrodes[rows]
            gradient = np.einsum("ce,nct->net", back, gradient, optimize=True)
            maps[rows] = gradient * electrodes
            products = rfft(electrodes, axis=2) * rfft(gradient, axis=2).conj()
            weights = np.full(products.shape[2], 2.0)
            weights[0] = 1
            if electrodes.shape[2] % 2 == 0:
                weights[-1] = 1
            spectra[rows] = (products.real.sum(axis=1) * weights) / electrodes.shape[2]
    return maps, spectra


def _gradients(network, module, method, n_steps):
    """Captum's function of trials and classes that gives gradients of the evidence."""
    try:
        from captum.attr import IntegratedGradients, NoiseTunnel, Saliency
    except ImportError as error:
        raise ImportError('gradients are found by Captum: pip install "skeeg[captum]"') from error

    def evidence(x):
        logits = module(network._map_channels(x))
        n = logits.shape[1]
        return (logits - (logits.sum(1, keepdim=True) - logits) / (n - 1)) if n > 1 else logits

    if method == "integrated_gradients":
        integrate = IntegratedGradients(evidence, multiply_by_inputs=False)
        options = {"n_steps": n_steps, "internal_batch_size": 256}
        return lambda x, target: integrate.attribute(x, target=target, **options)
    saliency = Saliency(evidence)
    if method == "gradient_x_input":
        return lambda x, target: saliency.attribute(x, target=target, abs=False)
    tunnel = NoiseTunnel(saliency)

    def smooth(x, target):
        spread = 0.1 * float(x.detach().std())
        return tunnel.attribute(
            x, nt_type="smoothgrad", nt_samples=n_steps, nt_samples_batch_size=4, stdevs=spread,
            target=target, abs=False,
        )  # fmt: skip

    return smooth


class AttributionsDisplay:
    """Contributions to each class on the head, over frequency and time, beside those of random networks.

    Parameters
    ----------
    attributions : Attributions
        As of `find_attributions`.
    info : mne.Info
        Positions of the electrodes.
    title : str, default=""
        Title of the figure.

    Attributes
    ----------
    attributions : Attributions
        The numbers.
    figure_ : matplotlib Figure
        The figure.
    axes_ : list of matplotlib Axes
        Axes of the topographies, a row of them for what was learned and each randomisation, then of spectra
        and time courses.
    """

    def __init__(self, attributions, info, *, title=""):
        self.attributions, self.info, self.title = attributions, info, title

    @classmethod
    def from_estimator(cls, estimator, X, y=None, *, info=None, title="", figure=None, **how):
        """Find and draw the contributions in a fitted network.

        Parameters
        ----------
        estimator, X, y, **how
            As of `find_attributions`.
        info : mne.Info, default=None
            Positions of the electrodes; by their names in the standard 10-05 montage by default.
        title : str, default=""
            Title of the figure.
        figure : matplotlib Figure, default=None
            Empty figure to draw on; its size is set. None makes one.

        Returns
        -------
        AttributionsDisplay
        """
        attributions = find_attributions(estimator, X, y, **how)
        info = find_info(info, attributions.ch_names, attributions.maps.shape[1])
        return cls(attributions, info, title=title).plot(figure=figure)

    def plot(self, figure=None):
        """Draw the figure.

        Parameters
        ----------
        figure : matplotlib Figure, default=None
            Empty figure to draw on; its size is set. None makes one.

        Returns
        -------
        AttributionsDisplay
        """
        figure = figure_or_new(figure)
        self.figure_, found = figure, self.attributions
        rows = {"trained": found.topographies.to_numpy(), **found.random_topographies}
        n_classes = len(found.classes)
        figure.set_layout_engine("constrained")
        figure.set_size_inches(1.2 + 1.6 * n_classes + 3.4, 0.8 + max(3.4, 1.75 * len(rows)))
        left, right = figure.subfigures(1, 2, width_ratios=[1.2 + 1.6 * n_classes, 3.4])
        grid = left.subplots(len(rows), n_classes, squeeze=False)
        self.axes_ = list(grid.flat)
        for axes, (name, values) in zip(grid, rows.items(), strict=True):
            limit = float(np.abs(values).max())
            for label, value, ax in zip(names_of(found.classes), values, axes, strict=True):
                image = draw_topography(value, self.info, ax, limit=limit)
                if name == "trained":
                    ax.set_title(label, fontsize="small", parse_math=False)
            said = name
            if name != "trained":
                row = found.sanity.loc[name]
                said = f"{name} random\nsimilarity {row['similarity']:.2f}"
                said += "\nSURVIVES" if row["survives"] else ""
            axes[0].set_ylabel(said, fontsize="small")
            bar = left.colorbar(image, ax=axes.tolist(), shrink=0.8, aspect=12)
            bar.ax.tick_params(labelsize="x-small")
            bar.set_label("evidence", size="x-small")
        spectrum, course = right.subplots(2, 1)
        self.axes_ += [spectrum, course]
        handles = []
        hertz = found.spectra.index.to_numpy()
        width = max(1, round(0.1 * len(found.courses) / found.courses.index[-1]))
        for i, label in enumerate(found.classes):
            style = {
                "color": color_of(i),
                "ls": line_of(i),
                "lw": 1.3,
            }
            handles.append(spectrum.plot(hertz, found.spectra[label], **style)[0])
            smooth = uniform_filter1d(found.courses[label].to_numpy(), width)
            course.plot(found.courses.index, smooth, **style)
        spectrum.set(xlabel="Frequency (Hz)", ylabel="Evidence", xlim=(0, min(45, hertz[-1])))
        course.set(xlabel="Time after the first sample (s)", ylabel="Evidence a sample")
        for ax in (spectrum, course):
            ax.axhline(0, color="0.4", lw=0.8)
            open_frame(ax)
            ax.ticklabel_format(axis="y", scilimits=(-2, 3))
        draw_legend(spectrum, handles, names_of(found.classes), frameon=False, fontsize="small")
        title = "\n".join(filter(None, [self.title, found.method.replace("_", " ")]))
        figure.suptitle(title, fontsize="medium", parse_math=False)
        return self
