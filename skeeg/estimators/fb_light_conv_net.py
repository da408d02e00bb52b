"""FBLightConvNetClassifier."""

from __future__ import annotations

from numbers import Integral

from sklearn.utils._param_validation import Interval, Options, StrOptions
from torch import nn

from skeeg import modules
from skeeg.estimators.base import EEGClassifier


class FBLightConvNetClassifier(EEGClassifier):
    """Classify EEG with FB-LightConvNet: a filter bank and log-variances weighed over time.

    Band-pass filters, spatial filters over channels and bands, log-variances of windows, and a lightweight
    convolution that weighs the windows (Ma et al. 2023).

    Parameters
    ----------
    n_bands : int, None or list of (float, float), default=9
        Number of bands of 4 Hz from 4 Hz upwards (9: 4-8, 8-12, ..., 36-40 Hz), or the bands in Hz; None
        stands for those nine bands.
    n_filters_spat : int, default=32
        Number of spatial filters, each a weighting of all channels in all bands; the paper has 64.
    n_dim : int, default=3
        Axis of (batch, n_filters_spat, n_windows, win_len) along which the variance is taken; only the
        last one, 3, leaves a sequence of windows to weight.
    stride_factor : int, default=4
        With ``win_len=None`` the number of windows: each has ``n_times // stride_factor`` samples. Not
        read otherwise.
    win_len : int or None, default=250
        Length of the windows in samples, one after the other; samples beyond the last whole one are not
        used. At least 2.
    heads : int, default=8
        Number of sets of window weights; must divide ``n_filters_spat``.
    weight_softmax : bool, default=True
        Pass the window weights through a softmax.
    bias : bool, default=False
        Add a learned number per filter to the weighted sums.
    activation : type of torch.nn.Module or None, default=torch.nn.ELU
        Activation after the spatial filters; None for none.
    filter_parameters : dict, {"fir", "chebyshev2"} or None, default=None
        Arguments of ``mne.filter.create_filter``, or the name of a bank, see
        :class:`skeeg.modules.layers.filter_bank.FilterBankDesign`: None and "fir" are MNE's zero-phase FIR
        filters, "chebyshev2" the causal filters of the paper.
    **training : dict
        The parameters of :class:`skeeg.EEGClassifier`, in these groups: data (``sfreq``,
        which arrays need); loss (``loss``,
        ``class_weight``, ``label_smoothing``, ...); learning (``max_epochs``, ``batch_size``, ``lr``,
        ``weight_decay``, ``optimizer``, ``lr_schedule``, ``augmentation``); validation (``train_split``,
        ``monitor``, ``patience``, ``refit_epochs``); going on (``warm_start``, ``pretrained``,
        ``freeze_encoder``, ``missing_channels``); running (``random_state``, ``device``, ``compile``,
        ``verbose``, ``callbacks``, ``iterator_train``, ``iterator_valid``).

    Attributes
    ----------
    module_ : skeeg.modules.FBLightConvNet
        The trained network; for the other attributes see :class:`skeeg.EEGClassifier`.

    Raises
    ------
    ValueError
        As :class:`skeeg.EEGClassifier`, without a sampling rate, and for bands beyond half of it.

    See Also
    --------
    skeeg.recipes.lightconvnet_2a : Trained as in the paper.
    skeeg.modules.FBLightConvNet : The network alone.
    skeeg.baselines.make_fbcsp_lda : Filter bank, CSP and LDA, without a network.

    Notes
    -----
    X. Ma et al., "A temporal dependency learning CNN with attention mechanism for MI-EEG decoding", IEEE
    Transactions on Neural Systems and Rehabilitation Engineering 31, 2023,
    https://doi.org/10.1109/TNSRE.2023.3299355. The bank is applied once per
    data set, not in the training loop, unless ``augmentation`` changes the trials from batch to batch.
    Departures: MNE's FIR bank by default; see :class:`skeeg.modules.FBLightConvNet`.

    Examples
    --------
    >>> from skeeg import FBLightConvNetClassifier
    >>> from skeeg.datasets import make_motor_imagery
    >>> X, y, _ = make_motor_imagery(n_subjects=1, n_trials=40, n_chans=8, random_state=0)
    >>> clf = FBLightConvNetClassifier(win_len=100, max_epochs=2, random_state=0).fit(X, y)
    >>> clf.predict(X).shape
    (40,)
    """

    module = modules.FBLightConvNet

    _parameter_constraints: dict = {
        **EEGClassifier._parameter_constraints,
        "n_bands": [Interval(Integral, 1, None, closed="left"), "array-like", None],
        "n_filters_spat": [Interval(Integral, 1, None, closed="left")],
        "n_dim": [Options(Integral, {3})],
        "stride_factor": [Interval(Integral, 1, None, closed="left")],
        "win_len": [Interval(Integral, 2, None, closed="left"), None],
        "heads": [Interval(Integral, 1, None, closed="left")],
        "weight_softmax": ["boolean"],
        "bias": ["boolean"],
        "activation": [callable, None],
        "filter_parameters": [dict, StrOptions({"fir", "chebyshev2"}), None],
    }

    def __init__(
        self,
        *,
        n_bands=9,
        n_filters_spat=32,
        n_dim=3,
        stride_factor=4,
        win_len=250,
        heads=8,
        weight_softmax=True,
        bias=False,
        activation=nn.ELU,
        filter_parameters=None,
        **training,
    ):
        super().__init__(**training)
        self.n_bands = n_bands
        self.n_filters_spat = n_filters_spat
        self.n_dim = n_dim
        self.stride_factor = stride_factor
        self.win_len = win_len
        self.heads = heads
        self.weight_softmax = weight_softmax
        self.bias = bias
        self.activation = activation
        self.filter_parameters = filter_parameters
