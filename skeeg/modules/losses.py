"""Losses that go with an architecture."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

REDUCTIONS = ("mean", "sum", "none")


class DualPrototypeLoss(nn.Module):
    r"""Cross-entropy, with features drawn towards a prototype of their class.

    The loss that SSTDPN is trained with. Each class has two prototypes: one that the network classifies
    with (its logits come from it) and a compactness prototype :math:`c_k` that the features :math:`z_i`
    of that class gather around,

    .. math:: L = L_S + \lambda_C L_C + \lambda_{EF} L_{EF}, \quad
              L_S = \mathrm{CE}(\mathrm{logits}, y), \quad
              L_C = \frac{1}{B} \sum_i \sum_j h(z_{ij} - c_{y_i j}), \quad
              L_{EF} = -\frac{1}{K} \sum_k \lVert c_k \rVert_2

    with :math:`h` the Huber function, :math:`h(d) = d^2/2` for :math:`|d| < 1`, else
    :math:`|d| - 1/2`. The last term pushes the compactness prototypes away from the origin.

    Parameters
    ----------
    compactness_weight : float, default=1e-3
        :math:`\lambda_C`.
    explicit_force_weight : float, default=1e-5
        :math:`\lambda_{EF}`.
    weight : torch.Tensor of shape (n_classes,), optional
        Class weights. They scale the separation and the compactness term of a trial; as in
        :class:`torch.nn.CrossEntropyLoss`, the mean is over the weights of the batch.
    label_smoothing : float, default=0.0
        Label smoothing of the separation term, in [0, 1].
    reduction : {"mean", "sum", "none"}, default="mean"
        Over the trials. ``"none"`` gives each trial's separation and compactness terms plus the
        explicit-force term, which belongs to no trial: without class weights, their mean is the loss.
        ``"sum"`` is the sum of these.
    prototype_shape : tuple of int (n_classes, n_features), optional
        For networks without compactness prototypes of their own: the loss then learns them (give its
        parameters to the optimizer too).
    proto_cpt_std : float, default=0.01
        Standard deviation of the initial values of the loss's own prototypes.

    Attributes
    ----------
    proto_cpt : torch.nn.Parameter of shape (n_classes, n_features), or None
        The loss's own prototypes, with ``prototype_shape``. Prototypes in the network's output come first.

    Raises
    ------
    ValueError
        For a negative weight, a ``label_smoothing`` outside [0, 1] or an unknown ``reduction``; when
        called with outputs that lack features, logits or prototypes.

    See Also
    --------
    skeeg.SSTDPNClassifier : Trained with it.

    Notes
    -----
    Loss of Han et al. (2025) [1]_, with the weights of the authors' code. Nothing is detached: features
    and prototypes are both moved by the compactness term.

    References
    ----------
    .. [1] Han, C., Liu, C., Wang, J., Wang, Y., Cai, C., Qian, D. (2025). A spatial-spectral and temporal
       dual prototype network for motor imagery brain-computer interface. Knowledge-Based Systems, 315,
       113315. https://doi.org/10.1016/j.knosys.2025.113315

    Examples
    --------
    >>> import torch
    >>> from skeeg.modules.losses import DualPrototypeLoss
    >>> from skeeg.modules.sstdpn import SSTDPN
    >>> network = SSTDPN(n_chans=3, n_outputs=2, n_times=250, return_features=True)
    >>> loss = DualPrototypeLoss()(network(10 * torch.randn(4, 3, 250)), torch.tensor([0, 1, 1, 0]))
    >>> loss.backward()
    """

    def __init__(
        self,
        compactness_weight=1e-3,
        explicit_force_weight=1e-5,
        weight=None,
        label_smoothing=0.0,
        reduction="mean",
        *,
        prototype_shape=None,
        proto_cpt_std=0.01,
    ):
        super().__init__()
        for name, value in (
            ("compactness_weight", compactness_weight),
            ("explicit_force_weight", explicit_force_weight),
            ("proto_cpt_std", proto_cpt_std),
        ):
            if value < 0:
                raise ValueError(f"{name}={value} must not be negative")
        if not 0 <= label_smoothing <= 1:
            raise ValueError(f"label_smoothing={label_smoothing} must lie in [0, 1]")
        if reduction not in REDUCTIONS:
            raise ValueError(f"reduction={reduction!r} must be one of {', '.join(map(repr, REDUCTIONS))}")
        self.compactness_weight = compactness_weight
        self.explicit_force_weight = explicit_force_weight
        self.label_smoothing = label_smoothing
        self.reduction = reduction
        self.prototype_shape = prototype_shape
        self.proto_cpt_std = proto_cpt_std
        self.register_buffer("weight", weight)
        own = None if prototype_shape is None else torch.empty(prototype_shape).normal_(std=proto_cpt_std)
        self.register_parameter("proto_cpt", None if own is None else nn.Parameter(own))

    def _trial_terms(self, outputs, target):
        """Separation and compactness of each trial, scaled by the trial's class weight, and that weight."""
        features, logits, prototypes = self._read(outputs)
        separation = F.cross_entropy(
            logits, target, weight=self.weight, label_smoothing=self.label_smoothing, reduction="none"
        )
        # F.embedding: the gradient of plain indexing depends on the number of threads
        compactness = F.smooth_l1_loss(features, F.embedding(target, prototypes), reduction="none").sum(1)
        weight = torch.ones_like(compactness) if self.weight is None else self.weight[target]
        return separation, compactness * weight, weight

    def _read(self, outputs):
        """Features, logits and compactness prototypes from a network's output."""
        if not isinstance(outputs, dict) or not {"features", "logits"} <= outputs.keys():
            given = list(outputs) if isinstance(outputs, dict) else type(outputs).__name__
            raise ValueError(
                f"DualPrototypeLoss needs a dict with 'features' and 'logits', got {given}; let the network "
                "return its features (return_features=True)"
            )
        prototypes = outputs.get("proto_cpt", self.proto_cpt)
        if prototypes is None:
            raise ValueError(
                "DualPrototypeLoss needs compactness prototypes, but the network's outputs have no "
                "'proto_cpt'; give the loss its own with "
                f"prototype_shape={(outputs['logits'].shape[1], outputs['features'].shape[1])}"
            )
        return outputs["features"], outputs["logits"], prototypes

    def _explicit_force(self, outputs):
        return -torch.linalg.vector_norm(self._read(outputs)[2], dim=1).mean()

    def forward(self, outputs, target):
        """Compute the loss.

        Parameters
        ----------
        outputs : dict
            ``"features"`` (batch, n_features), ``"logits"`` (batch, n_classes) and, unless the loss has
            prototypes of its own, ``"proto_cpt"`` (n_classes, n_features).
        target : torch.Tensor, shape (batch,)
            Class indices.

        Returns
        -------
        torch.Tensor, scalar, or (batch,) with ``reduction="none"``
            The loss.
        """
        separation, compactness, weight = self._trial_terms(outputs, target)
        trials = separation + self.compactness_weight * compactness
        force = self.explicit_force_weight * self._explicit_force(outputs)
        if self.reduction == "mean":
            return trials.sum() / weight.sum() + force
        trials = trials + force
        return trials.sum() if self.reduction == "sum" else trials

    def terms(self, outputs, target):
        """Compute the terms of the loss, not multiplied by their weights.

        Parameters
        ----------
        outputs, target
            As for :meth:`forward`.

        Returns
        -------
        dict of str to torch.Tensor (scalar)
            ``"separation"`` and ``"compactness"``, averaged over the trials (with class weights, as the
            loss's mean is), and ``"explicit_force"``.
        """
        separation, compactness, weight = self._trial_terms(outputs, target)
        return {
            "separation": separation.sum() / weight.sum(),
            "compactness": compactness.sum() / weight.sum(),
            "explicit_force": self._explicit_force(outputs),
        }
