"""The papers' training recipes by name: each function gives an ordinary estimator, configured.

What a recipe cannot do is cut the data: its docstring says which windows and sampling rate the authors used.
"""

from __future__ import annotations

from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skeeg.estimators.attention_base_net import AttentionBaseNetClassifier
from skeeg.estimators.fb_light_conv_net import FBLightConvNetClassifier
from skeeg.estimators.sinc_shallow_net import SincShallowNetClassifier
from skeeg.estimators.sstdpn import SSTDPNClassifier
from skeeg.persistence import register
from skeeg.preprocessing import BandPass, Scaler
from skeeg.trials import as_trials


@register
def standardize_each_trial(X):
    """Give each channel of each trial mean 0 and standard deviation 1 over time.

    Parameters
    ----------
    X : array-like, shape (n_trials, n_chans, n_times), or mne.Epochs
        Trials.

    Returns
    -------
    ndarray of float32, shape (n_trials, n_chans, n_times)
        Standardised trials; a constant channel becomes 0.

    Examples
    --------
    >>> import numpy as np
    >>> from skeeg.recipes import standardize_each_trial
    >>> standardize_each_trial(np.array([[[1.0, 3.0], [5.0, 5.0]]])).tolist()
    [[[-1.0, 1.0], [0.0, 0.0]]]
    """
    trials = as_trials(X)
    centred = trials.data - trials.data.mean(axis=2, keepdims=True)
    deviation = centred.std(axis=2, keepdims=True)
    return trials.wrap(centred / (deviation + (deviation == 0)))


def sstdpn_2a(**params) -> SSTDPNClassifier:
    """SST-DPN on BCI Competition IV 2a: 22 channels, 0 to 4 s after the cue at 250 Hz, raw µV.

    Parameters
    ----------
    **params : dict
        Parameters of :class:`skeeg.SSTDPNClassifier` that override the recipe's.

    Returns
    -------
    SSTDPNClassifier
        Not fitted. Published: 84.11 % (kappa .788), training session to evaluation session; an independent
        re-run of the network gave 79.48 %.

    See Also
    --------
    skeeg.SSTDPNClassifier

    Notes
    -----
    Han et al. 2025. Adam at 1e-3 with coupled weight decay 0.01, batches of 32; at most 1000 epochs on 80 %
    of the trials, until the validation cross-entropy has not improved for 200; then 300 epochs more on all
    trials from the best weights and optimiser state, of which the last weights are used. Departures: the
    authors' script has two further optimisers that step each prototype a second time and decays the
    prototypes, which they call inexact themselves; here they are stepped once and not decayed.

    Examples
    --------
    >>> from skeeg.recipes import sstdpn_2a
    >>> sstdpn_2a(random_state=0).refit_epochs
    300
    """
    recipe = {
        "optimizer": "adam",
        "lr": 1e-3,
        "weight_decay": 0.01,
        "lr_schedule": "constant",
        "batch_size": 32,
        "max_epochs": 1000,
        "train_split": 0.2,
        "monitor": "neg_log_loss",
        "patience": 200,
        "refit_epochs": 300,
        "proto_cpt_std": 1.0,
    }
    return SSTDPNClassifier(**(recipe | params))


def sstdpn_2b(**params) -> SSTDPNClassifier:
    """SST-DPN on BCI Competition IV 2b: 3 channels, 0 to 4.5 s after the cue at 250 Hz, raw µV.

    Parameters
    ----------
    **params : dict
        Parameters of :class:`skeeg.SSTDPNClassifier` that override the recipe's.

    Returns
    -------
    SSTDPNClassifier
        Not fitted; trained as :func:`sstdpn_2a`. Published: 86.65 % (kappa .733), re-run 85.10 %.

    See Also
    --------
    skeeg.SSTDPNClassifier

    Examples
    --------
    >>> from skeeg.recipes import sstdpn_2b
    >>> sstdpn_2b().patience
    200
    """
    return sstdpn_2a(**params)


def sstdpn_iii_iva(**params) -> Pipeline:
    """SST-DPN on BCI Competition III IVa: 118 channels, 0 to 3.5 s after the cue at 100 Hz.

    Parameters
    ----------
    **params : dict
        Parameters of :class:`skeeg.SSTDPNClassifier` that override the recipe's.

    Returns
    -------
    Pipeline
        Not fitted: each trial standardised, then :func:`sstdpn_2a`. Published: 82.03 %.

    See Also
    --------
    skeeg.SSTDPNClassifier

    Examples
    --------
    >>> from skeeg.recipes import sstdpn_iii_iva
    >>> [name for name, _ in sstdpn_iii_iva().steps]
    ['functiontransformer', 'sstdpnclassifier']
    """
    return make_pipeline(FunctionTransformer(standardize_each_trial), sstdpn_2a(**params))


def _attentionbasenet(band, sfreq, max_epochs, warmup_epochs, params):
    recipe = {
        "optimizer": "adam",
        "lr": 1e-3,
        "weight_decay": 0.0,
        "lr_schedule": "cosine",
        "lr_schedule__warmup_epochs": warmup_epochs,
        "batch_size": 64,
        "max_epochs": max_epochs,
        "train_split": None,
    }
    net = AttentionBaseNetClassifier(**(recipe | params))
    return make_pipeline(BandPass(*band, sfreq=sfreq), Scaler(), net)


def attentionbasenet_2a(
    attention_mode=None, *, leave_one_subject_out=False, sfreq=250.0, **params
) -> Pipeline:
    """AttentionBaseNet on BCI Competition IV 2a: 22 channels, 0 to 4 s after the cue at 250 Hz.

    Parameters
    ----------
    attention_mode : str or None, default=None
        Attention block, see :class:`skeeg.AttentionBaseNetClassifier`.
    leave_one_subject_out : bool, default=False
        Train for leaving one subject out: 125 epochs, 3 of them warm-up, instead of 1000 and 20.
    sfreq : float, default=250.0
        Sampling rate in Hz of the low-pass filter's input.
    **params : dict
        Parameters of :class:`skeeg.AttentionBaseNetClassifier` that override the recipe's.

    Returns
    -------
    Pipeline
        Not fitted: 40 Hz low-pass, z-score per channel, network. Published without attention: 75.63 %
        within subjects, 57.49 % leaving one out.

    See Also
    --------
    skeeg.AttentionBaseNetClassifier

    Notes
    -----
    Wimpff et al. 2024. Adam at 1e-3, batches of 64, linear warm-up then half a cosine to zero, the last
    weights. Departure: the low-pass is a zero-phase Butterworth filter of the trial, not of the recording.

    Examples
    --------
    >>> from skeeg.recipes import attentionbasenet_2a
    >>> attentionbasenet_2a("se")[-1].attention_mode
    'se'
    """
    epochs = (125, 3) if leave_one_subject_out else (1000, 20)
    return _attentionbasenet((None, 40.0), sfreq, *epochs, {"attention_mode": attention_mode} | params)


def attentionbasenet_2b(
    attention_mode=None, *, leave_one_subject_out=False, sfreq=250.0, **params
) -> Pipeline:
    """AttentionBaseNet on BCI Competition IV 2b: 3 channels, 0 to 4 s after the cue at 250 Hz.

    Parameters
    ----------
    attention_mode, leave_one_subject_out, sfreq, **params
        As in :func:`attentionbasenet_2a`.

    Returns
    -------
    Pipeline
        Not fitted; trained as :func:`attentionbasenet_2a`. Published without attention: 84.34 % within
        subjects, 78.52 % leaving one out.

    See Also
    --------
    skeeg.AttentionBaseNetClassifier

    Examples
    --------
    >>> from skeeg.recipes import attentionbasenet_2b
    >>> attentionbasenet_2b(leave_one_subject_out=True)[-1].max_epochs
    125
    """
    return attentionbasenet_2a(
        attention_mode, leave_one_subject_out=leave_one_subject_out, sfreq=sfreq, **params
    )


def attentionbasenet_hgd(
    attention_mode=None, *, leave_one_subject_out=False, sfreq=250.0, **params
) -> Pipeline:
    """AttentionBaseNet on the High-Gamma data set: 44 channels, 0 to 4 s after the cue at 250 Hz.

    Parameters
    ----------
    attention_mode, leave_one_subject_out, sfreq, **params
        As in :func:`attentionbasenet_2a`; leaving one subject out takes 77 epochs, 2 of them warm-up.

    Returns
    -------
    Pipeline
        Not fitted: 4 Hz high-pass, z-score per channel, network with ``reduction_rate=8`` and
        ``kernel_size=15``. Published without attention: 93.94 % within subjects, 68.55 % leaving one out.

    See Also
    --------
    skeeg.AttentionBaseNetClassifier

    Examples
    --------
    >>> from skeeg.recipes import attentionbasenet_hgd
    >>> attentionbasenet_hgd("eca")[-1].kernel_size
    15
    """
    epochs = (77, 2) if leave_one_subject_out else (1000, 20)
    kernels = {"reduction_rate": 8, "kernel_size": 15}
    params = {"attention_mode": attention_mode} | kernels | params
    return _attentionbasenet((4.0, None), sfreq, *epochs, params)


def sincshallownet_2a(*, sfreq=250.0, **params) -> SincShallowNetClassifier:
    """Sinc-ShallowNet as its paper sets it up at 250 Hz.

    Parameters
    ----------
    sfreq : float, default=250.0
        Sampling rate in Hz.
    **params : dict
        Parameters of :class:`skeeg.SincShallowNetClassifier` that override the recipe's.

    Returns
    -------
    SincShallowNetClassifier
        Not fitted. Published: 72.8 % on BCI Competition IV 2a.

    See Also
    --------
    skeeg.SincShallowNetClassifier

    Notes
    -----
    Borra et al. 2020: "valid" padding, pooling over 109 samples with a stride of 23, norms of at most 1 for
    spatial and 0.5 for dense weights. The authors published no code; the training is skeeg's default.

    Examples
    --------
    >>> from skeeg.recipes import sincshallownet_2a
    >>> sincshallownet_2a().padding
    'valid'
    """
    recipe = {
        "sfreq": sfreq,
        "padding": "valid",
        "pool_size": 109,
        "pool_stride": 23,
        "max_norm_spatial": 1.0,
        "max_norm_dense": 0.5,
    }
    return SincShallowNetClassifier(**(recipe | params))


def lightconvnet_2a(*, sfreq=250.0, **params) -> FBLightConvNetClassifier:
    """LightConvNet on BCI Competition IV 2a: 22 channels, 0 to 4 s after the cue at 250 Hz.

    Parameters
    ----------
    sfreq : float, default=250.0
        Sampling rate in Hz.
    **params : dict
        Parameters of :class:`skeeg.FBLightConvNetClassifier` that override the recipe's.

    Returns
    -------
    FBLightConvNetClassifier
        Not fitted. Published: 79.48 % from the first session to the second, 82.32 % in 10 folds of the
        first.

    See Also
    --------
    skeeg.FBLightConvNetClassifier

    Notes
    -----
    Ma et al. 2023: 64 filters behind the causal Chebyshev bank; Adam at 1e-3, batches of 150; the rate
    falls by 0.6 after 20 epochs without a lower training loss, to 1e-4 at least; at most 500 epochs, until
    validation accuracy has not improved for 50; then 200 epochs more on all trials.

    Examples
    --------
    >>> from skeeg.recipes import lightconvnet_2a
    >>> lightconvnet_2a().n_filters_spat
    64
    """
    recipe = {
        "sfreq": sfreq,
        "n_filters_spat": 64,
        "filter_parameters": "chebyshev2",
        "optimizer": "adam",
        "lr": 1e-3,
        "weight_decay": 0.0,
        "lr_schedule": "plateau",
        "lr_schedule__factor": 0.6,
        "lr_schedule__patience": 20,
        "lr_schedule__min_lr": 1e-4,
        "batch_size": 150,
        "max_epochs": 500,
        "train_split": 0.2,
        "monitor": "accuracy",
        "patience": 50,
        "refit_epochs": 200,
    }
    return FBLightConvNetClassifier(**(recipe | params))
