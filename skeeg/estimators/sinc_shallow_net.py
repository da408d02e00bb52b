"""SincShallowNetClassifier."""

from __future__ import annotations

from numbers import Integral, Real

from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted
from torch import nn

from skeeg import modules
from skeeg.estimators.base import EEGClassifier


class SincShallowNetClassifier(EEGClassifier):
    """Classify EEG with Sinc-ShallowNet: band-pass filters whose cut-offs are learned.

    Sinc band-pass filters with two learned numbers each, spatial filters for each band, average pooling and
    a linear classifier (Borra et al. 2020).

    Parameters
    ----------
    num_time_filters : int, default=32
        Number of band-pass filters.
    time_filter_len : int, default=33
        Length of the band-pass filters, in samples; odd.
    depth_multiplier : int, default=2
        Number of spatial filters for each band.
    activation : type of torch.nn.Module or None, default=torch.nn.ELU
        Activation before pooling; None for none.
    drop_prob : float, default=0.5
        Dropout probability after pooling.
    first_freq : float, default=5.0
        Initial lower cut-off of the first band, in Hz.
    min_freq : float, default=1.0
        Lowest possible cut-off, in Hz.
    freq_stride : float, default=1.0
        Distance between the initial lower cut-offs of neighbouring bands, in Hz.
    padding : {"same", "valid"}, default="same"
        Whether filters see zeros around a window, or samples of it alone.
    bandwidth : float, default=4.0
        Initial bandwidth, in Hz.
    pool_size, pool_stride : int, default=55, 12
        Length and stride of the average pooling, in samples.
    max_norm_spatial : float or None, default=None
        Largest Euclidean norm of a spatial filter; None for no limit. The paper: 1.0.
    max_norm_dense : float or None, default=None
        Largest Euclidean norm of a class's weights in the last layer; none by default. The paper: 0.25, 0.5.
    cutoff_lr : float, default=0.3
        Learning rate of the cut-offs, in Hz a step, following ``lr_schedule`` as ``lr`` does.
    **training : dict
        The parameters of :class:`skeeg.EEGClassifier`, in these groups: data (``sfreq``, which arrays need);
        loss (``loss``, ``class_weight``, ``label_smoothing``, ...); learning (``max_epochs``, ``batch_size``,
        ``lr``, ``weight_decay``, ``optimizer``, ``lr_schedule``, ``augmentation``); validation
        (``train_split``, ``monitor``, ``patience``, ``refit_epochs``); going on (``warm_start``,
        ``pretrained``, ``freeze_encoder``, ``missing_channels``); running (``random_state``, ``device``,
        ``compile``, ``verbose``, ``callbacks``, ``iterator_train``, ``iterator_valid``).

    Attributes
    ----------
    module_ : skeeg.modules.SincShallowNet
        The trained network; for the other attributes see :class:`skeeg.EEGClassifier`.
    bands_ : ndarray, shape (num_time_filters, 2)
        Learned lower and upper cut-offs in Hz.

    Raises
    ------
    ValueError
        As :class:`skeeg.EEGClassifier`, and without a sampling rate.

    See Also
    --------
    skeeg.recipes.sincshallownet_2a : Trained as in the paper.
    skeeg.modules.SincShallowNet : The network alone.

    Notes
    -----
    D. Borra et al., "Interpretable and lightweight convolutional neural network for EEG decoding:
    application to movement execution and imagination", Neural Networks 129:55-74, 2020,
    https://www.sciencedirect.com/science/article/pii/S0893608020302021. Departures: cut-offs have a learning
    rate of their own and no weight decay, as at a rate that suits weights they hardly move (within 8 subjects
    of EEGBCI, rates of 0.003, 0.05, 0.3 and 1 gave 72.2, 74.2, 76.4 and 76.9 % in 3 folds); max-norm
    constraints are off; in the first hundred steps, running statistics of batch normalisation are plain means
    (69.7 -> 74.2 % there, at a rate of 0.05). See :class:`skeeg.modules.SincShallowNet`.

    Examples
    --------
    >>> from skeeg import SincShallowNetClassifier
    >>> from skeeg.datasets import make_motor_imagery
    >>> X, y, _ = make_motor_imagery(n_subjects=1, n_trials=40, n_chans=8, random_state=0)
    >>> clf = SincShallowNetClassifier(max_epochs=2, random_state=0).fit(X, y)
    >>> clf.bands_.shape
    (32, 2)
    """

    module = modules.SincShallowNet

    _parameter_constraints: dict = {
        **EEGClassifier._parameter_constraints,
        **dict.fromkeys(
            ("num_time_filters", "time_filter_len", "depth_multiplier", "pool_size", "pool_stride"),
            [Interval(Integral, 1, None, closed="left")],
        ),
        **dict.fromkeys(
            ("first_freq", "min_freq", "freq_stride", "bandwidth"), [Interval(Real, 0, None, closed="left")]
        ),
        **dict.fromkeys(
            ("max_norm_spatial", "max_norm_dense"), [Interval(Real, 0, None, closed="neither"), None]
        ),
        "activation": [callable, None],
        "drop_prob": [Interval(Real, 0, 1, closed="left")],
        "padding": [StrOptions({"same", "valid"})],
        "cutoff_lr": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        *,
        num_time_filters=32,
        time_filter_len=33,
        depth_multiplier=2,
        activation=nn.ELU,
        drop_prob=0.5,
        first_freq=5.0,
        min_freq=1.0,
        freq_stride=1.0,
        padding="same",
        bandwidth=4.0,
        pool_size=55,
        pool_stride=12,
        max_norm_spatial=None,
        max_norm_dense=None,
        cutoff_lr=0.3,
        **training,
    ):
        super().__init__(**training)
        self.num_time_filters = num_time_filters
        self.time_filter_len = time_filter_len
        self.depth_multiplier = depth_multiplier
        self.activation = activation
        self.drop_prob = drop_prob
        self.first_freq = first_freq
        self.min_freq = min_freq
        self.freq_stride = freq_stride
        self.padding = padding
        self.bandwidth = bandwidth
        self.pool_size = pool_size
        self.pool_stride = pool_stride
        self.max_norm_spatial = max_norm_spatial
        self.max_norm_dense = max_norm_dense
        self.cutoff_lr = cutoff_lr

    def _param_groups(self):
        cutoffs = {"lr": self.cutoff_lr, "weight_decay": 0.0}
        return [("*.low_freqs", cutoffs), ("*.bandwidths", cutoffs)]

    def train_step_single(self, batch):
        """Get loss and gradients of a batch."""
        # Running statistics of momentum 0.01 take hundreds of steps to forget the values they start from,
        # more than small data sets have: until then they are means over the steps so far.
        for norm in self.module_.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.momentum = max(0.01, 1 / (int(norm.num_batches_tracked) + 1))
        return super().train_step_single(batch)

    @property
    def bands_(self):
        """Learned lower and upper cut-offs in Hz, shape (num_time_filters, 2)."""
        check_is_fitted(self)
        return self.module_.bands().detach().cpu().numpy()
