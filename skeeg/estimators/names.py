"""Names of parameters that people type, and the ones they mean."""

from __future__ import annotations

from difflib import get_close_matches

# what other libraries and papers call parameters of training
_OTHERS = {
    "accelerator": "device",
    "alpha": "weight_decay",
    "augmentations": "augmentation",
    "criterion": "loss",
    "cuda": "device",
    "data_augmentation": "augmentation",
    "early_stopping": "patience (with train_split, such as 0.2)",
    "epochs": "max_epochs",
    "eta": "lr",
    "gpu": "device",
    "l2": "weight_decay",
    "learning_rate": "lr",
    "learning_rate_init": "lr",
    "loss_fn": "loss",
    "lr_scheduler": "lr_schedule",
    "max_iter": "max_epochs",
    "metric": "monitor",
    "metrics": "monitor",
    "model": "module",
    "n_epochs": "max_epochs",
    "n_iter_no_change": "patience (with train_split, such as 0.2)",
    "nb_epoch": "max_epochs",
    "network": "module",
    "num_epochs": "max_epochs",
    "sampling_rate": "sfreq",
    "scheduler": "lr_schedule",
    "scoring": "monitor",
    "seed": "random_state",
    "srate": "sfreq",
    "fs": "sfreq",
    "transforms": "augmentation",
    "val_split": "train_split",
    "valid_split": "train_split",
    "validation_fraction": "train_split",
    "validation_split": "train_split",
    "weights": "pretrained",
}
_OF_DATA = ("chs_info", "input_window_samples", "input_window_seconds", "n_channels", "n_chans", "n_classes")
_OF_DATA += ("n_outputs", "n_times", "in_chans", "ch_names", "classes")


def unknown(name, known, *, routed=(), network=()):
    """Say what was perhaps meant by a name that is none.

    Parameters
    ----------
    name : str
        The name that was given.
    known : sequence of str
        Names of parameters.
    routed : sequence of str, default=()
        Prefixes of names that are handed on, as in ``optimizer__betas``.
    network : sequence of str, default=()
        Arguments of the network, which are given as ``module__...``.

    Returns
    -------
    str
        Begins with a question or a reason, and lists what there is, sorted.

    Examples
    --------
    >>> from skeeg.estimators.names import unknown
    >>> unknown("epochs", ["lr", "max_epochs"])
    "did you mean max_epochs? Its parameters are: ['lr', 'max_epochs']"
    """
    known = sorted(known)
    if name in _OF_DATA:
        said = "leave it out, X and y say it. "
    elif name in network:
        said = f"it is an argument of the network: give module__{name}. "
    else:
        meant = _meant(name, known, routed)
        said = f"did you mean {' or '.join(meant)}? " if meant else ""
    listed = f"Its parameters are: {known}"
    if routed:
        listed += (
            f", and names that are handed on: {', '.join(f'{prefix}__...' for prefix in sorted(routed))}"
        )
    return said + listed


def close(name, known):
    """Get the known names that are nearly a name, whatever their case; the nearest first."""
    lower = {}
    for entry in sorted(known):
        lower.setdefault(entry.lower(), entry)
    return [lower[entry] for entry in get_close_matches(name.lower(), lower, n=3, cutoff=0.7)]


def _meant(name, known, routed):
    if name in _OTHERS and _OTHERS[name].partition(" ")[0] in known:
        return [_OTHERS[name]]
    for prefix in routed:
        if name.startswith(f"{prefix}_"):
            return [f"{prefix}__{name.removeprefix(prefix).strip('_')}"]
    if name in ("dropout", "dropout_rate", "drop_rate", "p_dropout"):
        return [entry for entry in known if entry.startswith("drop_prob")]
    return close(name, known)
