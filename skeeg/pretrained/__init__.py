"""Decoders that come with the wheel, and work on people whom they have never seen.

>>> from skeeg.pretrained import list_pretrained, load_pretrained
>>> list_pretrained()["name"].tolist()
['left-right-hand-21', 'left-right-hand-3', 'left-right-hand-64']

Each lies in this folder as weights and a card, which says whom it learned from, how well it does on others,
and what the eyes may have to do with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sklearn.pipeline import Pipeline

from skeeg.estimators.shipped import DECODERS, find_decoder
from skeeg.persistence import load
from skeeg.preprocessing import MatchRecording

if TYPE_CHECKING:
    import pandas as pd


__all__ = ["list_pretrained", "load_pretrained"]

_FINE_TUNING = {"lr": 1e-3, "max_epochs": 20}


def list_pretrained() -> pd.DataFrame:
    """List the decoders in the wheel.

    Returns
    -------
    DataFrame
        One row a decoder: ``name``, ``task``, ``n_channels``, ``channels``, ``window`` (seconds after the
        cue), ``band`` (Hz), ``accuracy`` (% of the trials of people left out, aligned trial by trial, five
        folds of 80 people), ``licence`` and ``card``, the path of the page that tells of it.

    See Also
    --------
    load_pretrained : Load one of them.

    Examples
    --------
    >>> from skeeg.pretrained import list_pretrained
    >>> list_pretrained()[["name", "n_channels", "accuracy", "licence"]]
                     name  n_channels  accuracy     licence
    0  left-right-hand-21          21      73.8  ODC-BY 1.0
    1   left-right-hand-3           3      64.3  ODC-BY 1.0
    2  left-right-hand-64          64      80.6  ODC-BY 1.0
    """
    import pandas as pd

    return pd.DataFrame(
        {
            "name": decoder.name,
            "task": decoder.task,
            "n_channels": len(decoder.channels),
            "channels": " ".join(decoder.channels),
            "window": f"{decoder.start:g}-{decoder.start + decoder.duration:g}",
            "band": "{:g}-{:g}".format(*decoder.band),
            "accuracy": decoder.accuracy,
            "licence": decoder.licence,
            "card": str(decoder.card),
        }
        for decoder in DECODERS.values()
    )


def load_pretrained(
    name,
    *,
    ch_names=None,
    sfreq=None,
    tmin=0.0,
    start=None,
    alignment="single",
    update=False,
    missing_channels="interpolate",
    verbose=True,
) -> Pipeline:
    """Load a decoder that works on a person it has never seen, as a fitted Pipeline.

    ``predict`` takes trials of the user's own montage, order, unit, sampling rate and length; ``fit`` goes on
    from the decoder's weights with a person's own trials and, where they have the decoder's labels, with the
    mirror image of each.

    Parameters
    ----------
    name : str
        A task, such as "left-right-hand", of which the decoder is taken that fits ``ch_names``; or the name
        of a decoder, see :func:`list_pretrained`.
    ch_names : sequence of str or None, default=None
        Channels of the recording: they choose the decoder, and name the channels of arrays. ``mne.Epochs``
        and :class:`skeeg.EEGArray` know their channels; without ``ch_names`` the 21 channels over the motor
        strip are wanted of them.
    sfreq : float or None, default=None
        Sampling rate of arrays in Hz; Epochs and EEGArray know theirs.
    tmin : float, default=0.0
        Time of an array's first sample in seconds after the cue; Epochs know theirs.
    start : float or None, default=None
        Start of the window of 3 s that is decoded, in seconds after the cue; the decoder's own when None. A
        trial that does not reach so far is decoded where it is, with a warning.
    alignment : {"single", "causal", "together"}, default="single"
        What a trial is aligned by, besides the people that the decoder learned from. "single": itself, so
        that trials passed together do not influence each other. "causal": itself and the trials before it in
        the call, in the order of time. "together": all trials of the call, which are to be one person's.
        Of people never seen, the 21 channels decoded 69 %, 74 % and 74 % of the trials; where the trials
        are one person's, in the order of time, take "causal".
    update : bool, default=False
        With "causal": let ``predict`` remember what it has seen from call to call, as in a live session.
    missing_channels : {"interpolate", "raise"}, default="interpolate"
        What becomes of channels that the recording does not have, as long as two thirds are there.
    verbose : bool, default=True
        Print which decoder was taken, what is interpolated and what is left out.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Fitted; steps ``recording`` (:class:`skeeg.preprocessing.MatchRecording`), ``alignment``
        (:class:`skeeg.preprocessing.EuclideanAlignment`) and ``network``, the classifier, set to go on
        from the decoder's weights when it is fitted.

    Raises
    ------
    ValueError
        When there is no such decoder, or none that fits the channels; the message lists what is needed.

    Warns
    -----
    UserWarning
        By ``predict``, when the trials do not hold the window, or channels are interpolated of which nothing
        was printed, or are constant.

    See Also
    --------
    list_pretrained : What there is.
    skeeg.preprocessing.MatchRecording : How trials become the decoder's.
    skeeg.preprocessing.EuclideanAlignment : How people do.

    Notes
    -----
    Trained on PhysioNet's EEG Motor Movement/Imagery data (Schalk et al. 2004; Goldberger et al. 2000;
    ODC-BY 1.0), people 11-80. What each was measured to do, on people and data that it has not seen, is on
    its card.

    Examples
    --------
    >>> from skeeg.datasets import load_motor_imagery
    >>> from skeeg.pretrained import load_pretrained
    >>> X, y, metadata = load_motor_imagery()  # ten people whom no decoder has seen
    >>> decoder = load_pretrained("left-right-hand", ch_names=X.ch_names, sfreq=X.sfreq, alignment="causal")
    left-right-hand-21: 21 of 21 channels are there
    >>> own = metadata["subject"] == metadata["subject"].iloc[0]
    >>> decoder.predict(X[own][:1]).shape
    (1,)

    The same person's own trials make it better:

    >>> decoder = decoder.fit(X[own][:20], y[own][:20])
    """
    alignments = ("single", "causal", "together")
    if alignment not in alignments:
        raise ValueError(f"alignment={alignment!r} is none of {alignments}")
    decoder = find_decoder(name, ch_names)
    shipped = load(decoder.path)
    recording = MatchRecording(
        decoder.channels,
        new_sfreq=decoder.sfreq,
        low=decoder.band[0],
        high=decoder.band[1],
        start=decoder.start if start is None else start,
        duration=decoder.duration,
        ch_names=ch_names,
        sfreq=sfreq,
        tmin=tmin,
        missing_channels=missing_channels,
    )
    if ch_names is not None:
        recording.channel_map(ch_names)  # raises where a decoder asked for by name does not fit
    if verbose:
        said = "" if ch_names is None else f": {recording.described(ch_names)}"
        print(f"{decoder.name}{said}")
    aligner = shipped["euclideanalignment"].set_params(mode=alignment, update=update)
    network = shipped[-1].set_params(pretrained=decoder.name, **_FINE_TUNING)
    return Pipeline([("recording", recording), ("alignment", aligner), ("network", network)])


def open_decoder(model, ch_names, **options) -> Any:
    """Get what a user names in the command: a file's pipeline, or a decoder of the wheel.

    Parameters
    ----------
    model : str
        Path of a file of :func:`skeeg.save`, or name of :func:`load_pretrained`.
    ch_names : sequence of str
        Channels of the recordings.
    **options
        Of :func:`load_pretrained`.

    Returns
    -------
    classifier
        Fitted.

    Raises
    ------
    ValueError
        When there is no such file or decoder, or the channels do not fit.
    """
    path = Path(model)
    if path.is_file():
        return load(path)
    if path.suffix or "/" in model:
        raise ValueError(f"no file {model}")
    return load_pretrained(model, ch_names=ch_names, verbose=False, **options)
