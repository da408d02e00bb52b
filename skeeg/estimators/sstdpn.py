"""SSTDPNClassifier."""

from __future__ import annotations

from numbers import Integral, Real

from sklearn.utils._param_validation import Interval, StrOptions
from torch import nn

from skeeg import modules
from skeeg.estimators.base import EEGClassifier


class SSTDPNClassifier(EEGClassifier):
    r"""Classify EEG with SST-DPN, trained with its dual-prototype loss.

    A spatial-spectral and temporal dual-prototype network (Han et al. 2025): temporal filters shared by all
    channels, attention over filter-channel pairs, multi-scale variance pooling, and a prototype of each
    class that logits are inner products with.

    Parameters
    ----------
    n_spectral_filters_temporal : int, default=9
        Temporal filters, F1.
    n_fused_filters : int, default=48
        Fused channels, F2 ("virtual electrodes"); a multiple of the number of pooling scales.
    temporal_conv_kernel_size : int, default=75
        Length of the temporal filters, in samples.
    mvp_kernel_sizes : list of int or None, default=None
        Windows of the variance pooling, in samples, one a scale; None is ``[50, 100, 200]``. Windows
        advance by half their length.
    proto_sep_maxnorm : float, default=1.0
        Largest norm of the separation prototype of a class.
    proto_cpt_std : float, default=0.01
        Standard deviation of the initial compactness prototypes; the authors use 1.0.
    spt_attn_global_context_kernel : int, default=250
        Windows of the variance that mode "var" is about, in samples; the other modes do not read it.
    spt_attn_epsilon : float, default=1e-5
        Added to variances and levels, in the square of the input's unit: inputs in volts vanish beside it.
    spt_attn_mode : {"var", "l2", "l1"}, default="var"
        Embedding of a filtered channel z: :math:`\alpha \sqrt{v + \epsilon}` with v its variance within
        windows, averaged over the windows (samples beyond the last whole window do not count);
        :math:`\sqrt{\sum_t z_t^2 + \epsilon}`; or :math:`\sum_t |z_t|`. Only "var" uses
        :math:`\alpha`.
    activation : type of torch.nn.Module or None, default=torch.nn.ELU
        Activation after the fusion, called without arguments; None for none.
    loss : {"dual_prototype", "cross_entropy"} or class, default="dual_prototype"
        Loss; see :class:`skeeg.EEGClassifier`.
    **training : dict
        The parameters of :class:`skeeg.EEGClassifier`, in these groups: data (``sfreq``); loss (``loss``,
        ``class_weight``, ``label_smoothing``, ...); learning (``max_epochs``, ``batch_size``, ``lr``,
        ``weight_decay``, ``optimizer``, ``lr_schedule``, ``augmentation``); validation (``train_split``,
        ``monitor``, ``patience``, ``refit_epochs``); going on (``warm_start``, ``pretrained``,
        ``freeze_encoder``, ``missing_channels``); running (``random_state``, ``device``, ``compile``,
        ``verbose``, ``callbacks``, ``iterator_train``, ``iterator_valid``).

    Attributes
    ----------
    module_ : skeeg.modules.SSTDPN
        The trained network; for the other attributes see :class:`skeeg.EEGClassifier`.

    Raises
    ------
    ValueError
        As :class:`skeeg.EEGClassifier`, and where the kernels do not fit the data.

    See Also
    --------
    skeeg.recipes.sstdpn_2a : Trained as in the paper.
    skeeg.modules.SSTDPN : The network alone.
    skeeg.modules.losses.DualPrototypeLoss : Its loss.

    Notes
    -----
    C. Han et al., "A spatial-spectral and temporal dual prototype network for motor imagery brain-computer
    interface", Knowledge-Based Systems 315:113315, 2025,
    https://doi.org/10.1016/j.knosys.2025.113315 (https://arxiv.org/abs/2407.03177).
    Departures: prototypes are stepped once a batch,
    by the same optimiser as the encoder, and are not decayed (the authors' script steps them twice);
    compactness prototypes start near zero. Windows shorter than the kernels need scale all temporal
    lengths down together, with a warning. See :class:`skeeg.modules.SSTDPN` for the rest.

    Examples
    --------
    >>> from skeeg import SSTDPNClassifier
    >>> from skeeg.datasets import make_motor_imagery
    >>> X, y, _ = make_motor_imagery(n_subjects=1, n_trials=40, n_chans=8, random_state=0)
    >>> clf = SSTDPNClassifier(max_epochs=2, random_state=0).fit(X, y)
    >>> clf.predict(X).shape
    (40,)
    """

    module = modules.SSTDPN

    _parameter_constraints: dict = {
        **EEGClassifier._parameter_constraints,
        "n_spectral_filters_temporal": [Interval(Integral, 1, None, closed="left")],
        "n_fused_filters": [Interval(Integral, 1, None, closed="left")],
        "temporal_conv_kernel_size": [Interval(Integral, 1, None, closed="left")],
        "mvp_kernel_sizes": ["array-like", None],
        "proto_sep_maxnorm": [Interval(Real, 0, None, closed="neither")],
        "proto_cpt_std": [Interval(Real, 0, None, closed="left")],
        "spt_attn_global_context_kernel": [Interval(Integral, 1, None, closed="left")],
        "spt_attn_epsilon": [Interval(Real, 0, None, closed="neither")],
        "spt_attn_mode": [StrOptions({"var", "l2", "l1"})],
        "activation": [callable, None],
    }

    def __init__(
        self,
        *,
        n_spectral_filters_temporal=9,
        n_fused_filters=48,
        temporal_conv_kernel_size=75,
        mvp_kernel_sizes=None,
        proto_sep_maxnorm=1.0,
        proto_cpt_std=0.01,
        spt_attn_global_context_kernel=250,
        spt_attn_epsilon=1e-5,
        spt_attn_mode="var",
        activation=nn.ELU,
        loss="dual_prototype",
        **training,
    ):
        super().__init__(loss=loss, **training)
        self.n_spectral_filters_temporal = n_spectral_filters_temporal
        self.n_fused_filters = n_fused_filters
        self.temporal_conv_kernel_size = temporal_conv_kernel_size
        self.mvp_kernel_sizes = mvp_kernel_sizes
        self.proto_sep_maxnorm = proto_sep_maxnorm
        self.proto_cpt_std = proto_cpt_std
        self.spt_attn_global_context_kernel = spt_attn_global_context_kernel
        self.spt_attn_epsilon = spt_attn_epsilon
        self.spt_attn_mode = spt_attn_mode
        self.activation = activation

    def _param_groups(self):
        # the loss alone shapes prototypes; decay would shrink their margins
        return [("proto_*", {"weight_decay": 0.0})]
