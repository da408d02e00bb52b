"""Share on the Hugging Face Hub, with a model card."""

from __future__ import annotations

from typing import Any

from sklearn.pipeline import Pipeline

from skeeg.files import fetch, upload
from skeeg.persistence.format import versions
from skeeg.persistence.saving import classifier_of, content_of, load

HUB_FILE = "estimator.safetensors"


def push_to_hub(
    estimator, repo_id, *, data=None, score=None, private=None, token=None, commit_message=None
) -> str:
    """Share a fitted estimator, with a model card, in a repository of the Hugging Face Hub.

    Parameters
    ----------
    estimator : EEGClassifier, transformer of skeeg, or sklearn.pipeline.Pipeline of these
        Fitted.
    repo_id : str
        Name of the repository, "user/name"; made when it does not exist.
    data : str, optional
        For the card: what the estimator was trained on.
    score : str or dict of str to float, optional
        For the card: how good it is, and on which data.
    private : bool, optional
        Whether a new repository is private; the Hub's default when not given.
    token : str, optional
        Access token; the one of ``hf auth login`` when not given.
    commit_message : str, optional
        What the commit says.

    Returns
    -------
    str
        Address of the commit.

    Raises
    ------
    ImportError
        When huggingface_hub is missing (``pip install 'skeeg[hub]'``).
    PermissionError
        When the token is missing or may not write there.
    ValueError
        As :func:`save`.

    See Also
    --------
    from_pretrained : Fetches it.
    save : A file instead.
    """
    files = {
        HUB_FILE: content_of(estimator),
        "README.md": model_card(estimator, repo_id, data=data, score=score).encode(),
    }
    message = commit_message or f"Upload {type(classifier_of(estimator)).__name__}"
    return upload(repo_id, files, private=private, token=token, commit_message=message)


def from_pretrained(source, classes=(), *, device="auto", revision=None, token=None, cache_dir=None) -> Any:
    """Load an estimator that :func:`push_to_hub` shared.

    Parameters
    ----------
    source : str or os.PathLike
        Name of the repository, "user/name", or a local copy of it.
    classes : sequence of class, default=()
        As in :func:`load`.
    device : str or torch.device, default="auto"
        As in :func:`load`.
    revision, token, cache_dir : str, optional
        See ``huggingface_hub.hf_hub_download``.

    Returns
    -------
    estimator
        Fitted.

    Raises
    ------
    FileNotFoundError
        When ``source`` is neither a repository nor a directory with an estimator.
    ImportError
        When huggingface_hub is missing (``pip install 'skeeg[hub]'``).
    PermissionError
        When the Hub refuses the token, or asks for one, as it does for repositories that do not exist.
    ValueError
        As :func:`load`.

    See Also
    --------
    push_to_hub : Shares it.
    load : From a file.
    """
    return load(
        fetch(source, HUB_FILE, revision=revision, token=token, cache_dir=cache_dir), classes, device=device
    )


def model_card(estimator, repo_id="user/name", *, data=None, score=None):
    """Describe a fitted estimator in Markdown: architecture, data, score, and how to load it.

    Parameters
    ----------
    estimator : EEGClassifier, or sklearn.pipeline.Pipeline that ends in one
        Fitted.
    repo_id : str, default="user/name"
        Name of the repository that the card is for.
    data : str, optional
        What the estimator was trained on.
    score : str or dict of str to float, optional
        How good it is, and on which data.

    Returns
    -------
    str
    """
    classifier = classifier_of(estimator)
    name = type(classifier).__name__
    lines = [
        "---",
        "library_name: skeeg",
        "tags: [eeg, brain-computer-interface, skeeg]",
        "---",
        "",
        f"# {repo_id.rpartition('/')[2]}",
        "",
        f"`{name}` of skeeg: {(type(classifier).__doc__ or name).strip().splitlines()[0]}",
        "",
        "## How to load it",
        "",
        "```python",
        "import skeeg",
        "",
        f'estimator = skeeg.from_pretrained("{repo_id}")',
        "estimator.predict(X)  # X: mne.Epochs, or an array (n_trials, n_chans, n_times)",
        "```",
        "",
        "## What it expects",
        "",
    ]
    if hasattr(classifier, "n_chans_"):
        rate = "" if classifier.sfreq_ is None else f" at {classifier.sfreq_:g} Hz"
        names = "" if classifier.ch_names_ is None else ": " + ", ".join(classifier.ch_names_)
        lines += [
            f"- trials of {classifier.n_times_} samples{rate}",
            f"- {classifier.n_chans_} channels{names}",
            f"- classes: {', '.join(map(str, classifier.classes_.tolist()))}",
        ]
    if isinstance(estimator, Pipeline):
        lines.append(f"- steps: {', '.join(type(step).__name__ for _, step in estimator.steps)}")
    lines += ["", "## Data", "", data or "Not described.", "", "## Score", ""]
    if isinstance(score, dict):
        lines += ["| measure | value |", "| --- | --- |", *(f"| {k} | {v:.4g} |" for k, v in score.items())]
    else:
        lines.append(score or "Not reported.")
    lines += ["", "## Architecture", "", "```", repr(classifier)]
    if hasattr(classifier, "module_"):
        lines += ["", str(classifier.module_)]
    lines += ["```", "", "## Versions", "", ", ".join(f"{k} {v}" for k, v in versions().items()), ""]
    return "\n".join(lines)
