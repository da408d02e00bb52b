"""`skeeg inspect`: the figures of a decoder in a file, on recordings."""

from __future__ import annotations

from pathlib import Path

HELP = """\
Draw what a decoder uses: its patterns on the scalp, what its filters pass in Hz, its attention and
prototypes, what its accuracy loses without channels, bands and times, and its gradients (where Captum is
installed), each as a figure and as a table of the same name. Trials should be of people that it was not
trained on.

The model is a file that skeeg.save (or `save` of a classifier) has written, a decoder that comes with skeeg,
or its task, left-right-hand."""


def add_arguments(parser):
    """Tell a parser the arguments of ``skeeg inspect`` beside ``--data``."""
    parser.add_argument("model", metavar="MODEL", help="a .safetensors file, or left-right-hand")
    parser.add_argument(
        "--out", type=Path, default=Path("inspection"), help="folder to write to (default inspection)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="random seed (default 0)")


def inspect(model, X, y, metadata, out, seed=0):
    """Write the figures of a decoder.

    Parameters
    ----------
    model : str
        A file, a decoder of the wheel or its task.
    X : EEGArray, shape (n_trials, n_chans, n_times)
        Trials.
    y : ndarray, shape (n_trials,)
        Labels.
    metadata : DataFrame
        With the column ``subject``.
    out : Path
        Folder to write to.
    seed : int, default=0
        Random seed.

    Returns
    -------
    written : list of str
        Names of the files.
    left_out : dict of str -> str
        Figures that the decoder does not have, and why.

    Raises
    ------
    ValueError
        When the model cannot be read, or does not fit the trials.
    """
    from skeeg.inspection.figures import write_figures
    from skeeg.pretrained import open_decoder

    decoder = open_decoder(model, X.ch_names, sfreq=X.sfreq, alignment="causal")
    unknown = sorted(set(y.tolist()) - set(decoder.classes_.tolist()), key=str)
    if unknown:
        raise ValueError(f"the trials have labels {unknown}, the decoder knows {decoder.classes_.tolist()}")
    decoder.predict(X[:1])  # raises what does not fit, before anything is drawn
    people = metadata["subject"].astype(str).to_numpy(dtype=str)
    return write_figures(decoder, X, y, people, out, title=Path(model).name, random_state=seed)
