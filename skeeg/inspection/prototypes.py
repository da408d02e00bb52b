"""Prototypes: features of trials around what the dual-prototype loss draws them to, in a plane."""

from __future__ import annotations

import numpy as np

from skeeg.inspection.carrying import carry, labels_of, unpacked
from skeeg.inspection.style import axes_or_new, color_of, draw_legend, marker_of, names_of, open_frame
from skeeg.modules.losses import DualPrototypeLoss


class Prototypes:
    """Features of trials and prototypes of classes; made by `find_prototypes`.

    Attributes
    ----------
    features : ndarray, shape (n_trials, n_features)
        What the network's head classifies.
    labels : ndarray, shape (n_trials,)
        Class of each trial.
    classes : list
        The labels, sorted.
    separation : ndarray, shape (n_classes, n_features), or None
        Separation prototypes: logits are their products with the features.
    compactness : ndarray, shape (n_classes, n_features), or None
        Compactness prototypes, which the loss draws features to; None for a network trained without.
    distances : DataFrame, shape (n_classes, n_classes)
        Mean Euclidean distance of the trials of a class (row) to the compactness prototype of each class, or
        to the mean of its features where there is none.
    ratio : float
        Variance of the features within classes by that between their means: the smaller, the more compact.
    """

    def __init__(self, features, labels, classes, separation, compactness):
        import pandas as pd

        self.features, self.labels, self.classes = features, labels, classes
        self.separation, self.compactness = separation, compactness
        means = np.array([features[labels == label].mean(axis=0) for label in classes])
        goals = means if compactness is None else compactness
        apart = np.linalg.norm(features[:, np.newaxis] - goals, axis=2)  # (n_trials, n_classes)
        rows = [apart[labels == label].mean(axis=0) for label in classes]
        self.distances = pd.DataFrame(rows, index=classes, columns=classes)
        sizes = np.array([np.sum(labels == label) for label in classes])
        within = sum(
            np.square(features[labels == label] - mean).sum()
            for label, mean in zip(classes, means, strict=True)
        )
        between = (sizes[:, np.newaxis] * np.square(means - features.mean(axis=0))).sum()
        self.ratio = float(within / between) if between > 0 else np.inf


def find_prototypes(estimator, X, y=None, *, groups=None):
    """Find the features of trials and the prototypes of a network.

    Parameters
    ----------
    estimator : fitted classifier or Pipeline
        One of skeeg's networks, trained with any loss; only SST-DPN has separation prototypes, and only
        training with ``loss="dual_prototype"`` compactness prototypes that mean anything.
    X : array-like or mne.Epochs, shape (n_trials, n_chans, n_times)
        Trials.
    y : array-like, shape (n_trials,), default=None
        Labels; those that X knows by default.
    groups : array-like, shape (n_trials,), default=None
        Subject of each trial, which alignments read.

    Returns
    -------
    Prototypes

    Raises
    ------
    ValueError
        When the estimator is no network of ours, or labels are unknown, or of one class.

    Examples
    --------
    >>> from skeeg import SSTDPNClassifier
    >>> from skeeg.datasets import make_motor_imagery
    >>> from skeeg.inspection import find_prototypes
    >>> X, y, _ = make_motor_imagery(n_subjects=1, n_trials=40, n_chans=8, random_state=0)
    >>> found = find_prototypes(SSTDPNClassifier(max_epochs=1, random_state=0).fit(X, y), X, y)
    >>> found.separation.shape == found.compactness.shape == (2, found.features.shape[1])
    True
    """
    steps = unpacked(estimator)
    network = steps[-1]
    if not hasattr(getattr(network, "module_", None), "forward_features"):
        raise ValueError(f"{type(network).__name__} has no features and prototypes; skeeg's networks have")
    view, _ = carry(steps, X, groups)
    y = labels_of(y, view.labels, len(view.given), network.classes_)
    if len(np.unique(y)) < len(network.classes_):
        raise ValueError(f"y has trials of {np.unique(y).tolist()} alone, of {network.classes_.tolist()}")
    module, trained = network.module_, network.loss in ("dual_prototype", DualPrototypeLoss)
    separation = None
    if hasattr(module, "proto_sep"):
        separation = module.proto_sep.detach().renorm(2, 0, module.proto_sep_maxnorm)
    compactness = None
    if trained:
        own = getattr(module, "proto_cpt", None)
        compactness = (network.criterion_.proto_cpt if own is None else own).detach()
    features = network.transform(view.given.astype(np.float32))
    arrays = [None if tensor is None else tensor.cpu().numpy() for tensor in (separation, compactness)]
    return Prototypes(features, y, network.classes_.tolist(), *arrays)


class PrototypesDisplay:
    """Features of trials in a plane, with the prototypes of their classes.

    Parameters
    ----------
    prototypes : Prototypes
        As of `find_prototypes`.
    transformer : transformer, default=None
        Unfitted, makes two columns of features; PCA by default. Of one that transforms no new points
        (t-SNE), give ``fit_transform`` alone: prototypes are then put in with the features.
    title : str, default=""
        Title of the axes.

    Attributes
    ----------
    prototypes : Prototypes
        The numbers.
    points_ : ndarray, shape (n_trials, 2)
        Features in the plane.
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        The figure.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from skeeg import SSTDPNClassifier
    >>> from skeeg.datasets import make_motor_imagery
    >>> from skeeg.inspection import PrototypesDisplay
    >>> X, y, _ = make_motor_imagery(n_subjects=1, n_trials=40, n_chans=8, random_state=0)
    >>> network = SSTDPNClassifier(max_epochs=1, random_state=0).fit(X, y)
    >>> PrototypesDisplay.from_estimator(network, X, y, ax=Figure().subplots()).points_.shape
    (40, 2)
    """

    def __init__(self, prototypes, transformer=None, *, title=""):
        self.prototypes, self.transformer, self.title = prototypes, transformer, title

    @classmethod
    def from_estimator(cls, estimator, X, y=None, *, groups=None, transformer=None, title="", ax=None):
        """Find and draw features and prototypes.

        Parameters
        ----------
        estimator, X, y, groups
            As of `find_prototypes`.
        transformer : transformer, default=None
            Unfitted, makes two columns of features; PCA by default.
        title : str, default=""
            Title of the axes.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.

        Returns
        -------
        PrototypesDisplay
        """
        return cls(find_prototypes(estimator, X, y, groups=groups), transformer, title=title).plot(ax=ax)

    def plot(self, ax=None):
        """Draw the figure.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.

        Returns
        -------
        PrototypesDisplay
        """
        from sklearn.base import clone
        from sklearn.decomposition import PCA

        ax = axes_or_new(ax, 5.2, 4.4)
        self.ax_, self.figure_ = ax, ax.figure
        found = self.prototypes
        plane = PCA(2, random_state=0) if self.transformer is None else clone(self.transformer)
        goals = np.empty((0, found.features.shape[1])) if found.compactness is None else found.compactness
        if hasattr(plane, "transform"):
            self.points_ = plane.fit_transform(found.features)
            goals = plane.transform(goals) if len(goals) else np.empty((0, 2))
        else:
            both = plane.fit_transform(np.concatenate([found.features, goals]))
            self.points_, goals = both[: len(found.features)], both[len(found.features) :]
        handles, names = [], []
        for i, label in enumerate(found.classes):
            own = self.points_[found.labels == label]
            style = {"color": color_of(i), "marker": marker_of(i)}
            handles.append(ax.scatter(*own.T, s=14, alpha=0.55, lw=0, **style))
            names.append(label)
        for i, goal in enumerate(goals):
            style = {"color": color_of(i), "marker": marker_of(i)}
            size = 70 + 130 * (
                len(goals) - 1 - i
            )  # smaller ones on larger: of those at one place, all are seen
            star = ax.scatter(*goal, s=size, edgecolor="black", lw=1.5, zorder=4, **style)
            handles, names = [*handles, star], [*names, f"compactness, {found.classes[i]}"]
        if found.separation is not None and isinstance(plane, PCA):
            reach = 0.45 * np.ptp(self.points_, axis=0).max()
            directions = found.separation @ plane.components_.T
            directions *= reach / max(np.linalg.norm(directions, axis=1).max(), 1e-12)
            middle = self.points_.mean(axis=0)
            for i, direction in enumerate(directions):
                arrow = {"arrowstyle": "-|>", "lw": 2, "color": color_of(i)}
                ax.annotate("", middle + direction, middle, arrowprops=arrow)
            ax.update_datalim(middle + directions)  # an arrow that ends outside is not drawn
            ax.autoscale_view()
        variances = [""] * 2
        if isinstance(plane, PCA):
            variances = [f" ({100 * share:.0f} % of variance)" for share in plane.explained_variance_ratio_]
        ax.set(xlabel=f"Component 1{variances[0]}", ylabel=f"Component 2{variances[1]}")
        note = f"variance within / between classes: {found.ratio:.2f}"
        if found.separation is not None and isinstance(plane, PCA):
            note += "\narrows: separation prototypes"
        ax.set_title("\n".join(filter(None, [self.title, note])), fontsize="medium", parse_math=False)
        draw_legend(ax, handles, names_of(names), frameon=False, fontsize="small", loc="upper left",
                    bbox_to_anchor=(1, 1))  # fmt: skip
        open_frame(ax)
        return self
