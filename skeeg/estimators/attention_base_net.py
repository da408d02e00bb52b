"""AttentionBaseNetClassifier."""

from __future__ import annotations

from numbers import Integral, Real

from sklearn.utils._param_validation import Interval, StrOptions
from torch import nn

from skeeg import modules
from skeeg.estimators.base import EEGClassifier
from skeeg.modules.attention import ATTENTION_BLOCKS


class AttentionBaseNetClassifier(EEGClassifier):
    """Classify EEG with BaseNet and one of eleven channel-attention blocks.

    Temporal and spatial convolution, pooling and a second, separable convolution whose channels an
    attention block weighs (Wimpff et al. 2024).

    Parameters
    ----------
    n_temporal_filters : int, default=40
        Number of temporal filters, shared by the electrodes.
    temp_filter_length_inp : int, default=25
        Length of the temporal filters, in samples.
    spatial_expansion : int, default=1
        Number of spatial filters for each temporal filter.
    pool_length_inp, pool_stride_inp : int, default=75, 15
        Length and stride of the first average pooling, in samples.
    drop_prob_inp : float, default=0.5
        Dropout probability after the first pooling.
    ch_dim : int, default=16
        Number of channels of the second part, which attention weights.
    temp_filter_length : int, default=15
        Length of the second temporal convolution, in pooled samples.
    pool_length, pool_stride : int, default=8, 8
        Length and stride of the second average pooling, in pooled samples.
    drop_prob_attn : float, default=0.5
        Dropout probability after the second pooling.
    attention_mode : {"se", "gsop", "fca", "encnet", "eca", "ge", "gct", "srm", "cbam", "cat", "catlite"} \
or None, default=None
        Attention block, see ``skeeg.modules.attention``; None for none.
    reduction_rate : int, default=4
        Divides ``ch_dim`` to give the size of hidden layers: se, gsop, fca, cbam, cat, catlite; ge and srm
        with ``use_mlp``.
    use_mlp : bool, default=False
        Mix channels by a small network: ge, srm.
    freq_idx : int, default=0
        Which cosine summarises a channel: fca.
    n_codewords : int, default=4
        Number of codewords: encnet.
    kernel_size : int, default=9
        Length of the attention's convolution, odd: eca, cbam, cat.
    activation : type of torch.nn.Module or None, default=torch.nn.ELU
        Activation of all layers; None for none.
    extra_params : bool, default=False
        Learned gathering instead of a mean: ge.
    **training : dict
        The parameters of :class:`skeeg.EEGClassifier`, in these groups: data (``sfreq``); loss (``loss``,
        ``class_weight``, ``label_smoothing``, ...); learning (``max_epochs``, ``batch_size``, ``lr``,
        ``weight_decay``, ``optimizer``, ``lr_schedule``, ``augmentation``); validation (``train_split``,
        ``monitor``, ``patience``, ``refit_epochs``); going on (``warm_start``, ``pretrained``,
        ``freeze_encoder``, ``missing_channels``); running (``random_state``, ``device``, ``compile``,
        ``verbose``, ``callbacks``, ``iterator_train``, ``iterator_valid``).

    Attributes
    ----------
    module_ : skeeg.modules.AttentionBaseNet
        The trained network; for the other attributes see :class:`skeeg.EEGClassifier`.

    Raises
    ------
    ValueError
        As :class:`skeeg.EEGClassifier`, and for an unknown mode, an even ``kernel_size``, a
        ``reduction_rate`` above ``ch_dim`` or a ``freq_idx`` that the pooled window does not have.

    See Also
    --------
    skeeg.recipes.attentionbasenet_2a : Trained as in the paper.
    skeeg.modules.AttentionBaseNet : The network alone.
    skeeg.modules.attention.make_attention : The attention blocks.

    Notes
    -----
    M. Wimpff et al., "EEG motor imagery decoding: a framework for comparative analysis with channel
    attention mechanisms", J. Neural Eng. 21:036020, 2024,
    https://arxiv.org/abs/2310.11198. Behind the parameters of attention stand the
    modes that read them; no other mode does.

    Departures: windows shorter than the poolings need scale all temporal lengths down together, with a
    warning; the training defaults are skeeg's (:mod:`skeeg.recipes` has the authors').

    Examples
    --------
    >>> from skeeg import AttentionBaseNetClassifier
    >>> from skeeg.datasets import make_motor_imagery
    >>> X, y, _ = make_motor_imagery(n_subjects=1, n_trials=40, n_chans=8, random_state=0)
    >>> clf = AttentionBaseNetClassifier(attention_mode="se", max_epochs=2, random_state=0).fit(X, y)
    >>> clf.predict(X).shape
    (40,)
    """

    module = modules.AttentionBaseNet

    _parameter_constraints: dict = {
        **EEGClassifier._parameter_constraints,
        **dict.fromkeys(
            (
                "n_temporal_filters",
                "temp_filter_length_inp",
                "spatial_expansion",
                "pool_length_inp",
                "pool_stride_inp",
                "ch_dim",
                "temp_filter_length",
                "pool_length",
                "pool_stride",
                "reduction_rate",
                "n_codewords",
                "kernel_size",
            ),
            [Interval(Integral, 1, None, closed="left")],
        ),
        "drop_prob_inp": [Interval(Real, 0, 1, closed="left")],
        "drop_prob_attn": [Interval(Real, 0, 1, closed="left")],
        "attention_mode": [StrOptions(set(ATTENTION_BLOCKS)), None],
        "use_mlp": ["boolean"],
        "freq_idx": [Interval(Integral, 0, None, closed="left")],
        "activation": [callable, None],
        "extra_params": ["boolean"],
    }

    def __init__(
        self,
        *,
        n_temporal_filters=40,
        temp_filter_length_inp=25,
        spatial_expansion=1,
        pool_length_inp=75,
        pool_stride_inp=15,
        drop_prob_inp=0.5,
        ch_dim=16,
        temp_filter_length=15,
        pool_length=8,
        pool_stride=8,
        drop_prob_attn=0.5,
        attention_mode=None,
        reduction_rate=4,
        use_mlp=False,
        freq_idx=0,
        n_codewords=4,
        kernel_size=9,
        activation=nn.ELU,
        extra_params=False,
        **training,
    ):
        super().__init__(**training)
        self.n_temporal_filters = n_temporal_filters
        self.temp_filter_length_inp = temp_filter_length_inp
        self.spatial_expansion = spatial_expansion
        self.pool_length_inp = pool_length_inp
        self.pool_stride_inp = pool_stride_inp
        self.drop_prob_inp = drop_prob_inp
        self.ch_dim = ch_dim
        self.temp_filter_length = temp_filter_length
        self.pool_length = pool_length
        self.pool_stride = pool_stride
        self.drop_prob_attn = drop_prob_attn
        self.attention_mode = attention_mode
        self.reduction_rate = reduction_rate
        self.use_mlp = use_mlp
        self.freq_idx = freq_idx
        self.n_codewords = n_codewords
        self.kernel_size = kernel_size
        self.activation = activation
        self.extra_params = extra_params
