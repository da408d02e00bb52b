"""The `skeeg` command."""

import argparse
import glob
import os
import shlex
import signal
import sys
import threading
import warnings
from pathlib import Path

from skeeg import typed
from skeeg._version import __version__
from skeeg.inspection.command import HELP as HELP_OF_INSPECT
from skeeg.inspection.command import add_arguments as add_inspect_arguments
from skeeg.inspection.command import inspect as run_inspect
from skeeg.live.command import add_arguments as add_live_arguments
from skeeg.live.command import live as run_live

CROSS_VALIDATIONS = (
    "within-subject",
    "cross-subject",
    "cross-session",
    "cross-dataset",
    "calibration",
    "learning-people",
    "learning-trials",
)

_MOABB = "moabb:"  # what --data says before the name of a data set of MOABB

# Letters that not every terminal has, and what stands for them there.
PLAIN_LETTERS = {" ± ": "+/-", "±": "+-", "–": "-", "µ": "u", "×": "x", "…": "..."}

# What `skeeg compare` does is done in three minutes on two cores, yet has enough people for a test.
SAMPLE_EPOCHS = 20
SIMULATION = {"n_trials": 32, "n_chans": 11, "difficulty": 0.2}
SIMULATION_SUBJECTS = range(1, 11)
SIMULATION_EPOCHS = 30

HELP_OF_COMPARE = """\
Compare CSP, Riemannian and deep-network pipelines on the same trials.

With no argument: motor imagery of ten people, which comes with skeeg, every subject aligned, tested on
people that were not trained on. Prints what was read and a table of results, writes scores.csv (a row a
subject and fold), predictions.csv (a row a trial), differences.csv, the table as table.csv, .md and .tex,
scores.png (or learning.png), confusion.png and report.html, all of it on one page. Finished
folds are kept in OUT/folds: the same command goes on where it was interrupted."""


def main(argv=None):
    """Run the `skeeg` command.

    Parameters
    ----------
    argv : list of str, default=None
        Arguments; None takes those of the process.

    Returns
    -------
    int
        0 if all went well, 1 if no pipeline finished a fold, a file could not be written, or with --strict
        one failed, 130 after Ctrl-C, 143 after SIGTERM. A wrong argument ends the process with 2 and one line
        on stderr.
    """
    parser = _OneLineParser(prog="skeeg", description="Decode EEG with deep networks and baselines.")
    parser.add_argument("--version", action="version", version=f"skeeg {__version__}")
    names = "compare|predict|inspect|live|pretrained"
    commands = parser.add_subparsers(dest="command", required=True, metavar=names)
    compare = commands.add_parser(
        "compare",
        help="compare pipelines on simulated, PhysioNet or your own recordings",
        description=HELP_OF_COMPARE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_compare_arguments(compare)
    predict = commands.add_parser(
        "predict",
        help="label trials with a decoder that comes with skeeg, without training",
        description="Label the trials of recordings with a decoder that comes with skeeg; nothing is trained."
        " Writes CSV: file, trial, label and the probability of each class.",
    )
    _add_predict_arguments(predict)
    inspect = commands.add_parser(
        "inspect",
        help="draw what a decoder uses: on the scalp, in Hz, in time",
        description=HELP_OF_INSPECT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_inspect_arguments(inspect)
    _add_data_arguments(inspect)
    live = commands.add_parser(
        "live",
        help="decode an amplifier's stream, or a recording as if it were one",
        description="Decode a stream of Lab Streaming Layer, or a recording as if it were one, window by "
        "window. Writes CSV: time, label, the probability of each class, and what is to be known.",
    )
    add_live_arguments(live)
    commands.add_parser(
        "pretrained",
        help="list the decoders that come with skeeg",
        description="List the decoders that come with skeeg: channels, window in s after the cue, band in "
        "Hz, accuracy in %% on people that they have not seen (trial by trial), licence, and their cards.",
    )
    arguments = parser.parse_args(argv)
    arguments.typed = shlex.join(["skeeg", *(sys.argv[1:] if argv is None else map(str, argv))])
    with _SigtermLikeCtrlC() as sigterm:
        try:
            if arguments.command == "pretrained":
                return _list_decoders()
            if arguments.command == "predict":
                return _predict(arguments, predict.error)
            if arguments.command == "inspect":
                return _inspect(arguments, inspect.error)
            if arguments.command == "live":
                return run_live(arguments, _say, live.error)
            return _compare(arguments, compare.error)
        except KeyboardInterrupt:  # while loading or drawing; `compare` itself keeps what it has
            print("\nInterrupted.", file=sys.stderr)
            return 128 + (sigterm.received or signal.SIGINT)


class _SigtermLikeCtrlC:
    """Makes SIGTERM a KeyboardInterrupt, so that it ends nothing half-way either."""

    received = 0

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            self.previous = signal.signal(signal.SIGTERM, self._interrupt)
        return self

    def __exit__(self, *_):
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self.previous)

    def _interrupt(self, number, frame):
        self.received = number
        raise KeyboardInterrupt


class _OneLineParser(argparse.ArgumentParser):
    """Answers a wrong argument with one line instead of the whole usage."""

    def error(self, message):
        self.exit(2, f"{self.prog}: {' '.join(message.split())}\n")


def _add_compare_arguments(parser):
    _add_data_arguments(parser)
    _add_comparing_arguments(parser)


def _add_data_arguments(parser):
    parser.add_argument(
        "--data",
        nargs="+",
        default=["sample"],
        metavar="DATA",
        help="'sample' (default: real motor imagery that comes with skeeg), 'simulated', 'eegbci' (PhysioNet "
        "motor imagery, downloaded by MNE), 'moabb:BNCI2014_001' (any data set of MOABB, downloaded by it), "
        "or your own files, one a recording: -epo.fif, .npz, or with --events any that MNE reads; patterns "
        "such as sub-*-epo.fif",
    )
    parser.add_argument(
        "--paradigm",
        metavar="NAME",
        help="paradigm of MOABB for --data moabb:..., such as LeftRightImagery (default: that of its kind)",
    )
    parser.add_argument(
        "--subjects",
        type=typed.subjects,
        metavar="1-10",
        help="subjects of the sample, simulated or eegbci data (default 1-10) or of MOABB's (default all), "
        "such as 1-10 or 1,3,7",
    )
    parser.add_argument(
        "--events",
        type=typed.events,
        metavar="A=1,B=2",
        help="for continuous recordings: label=annotation of each class, such as left=769,right=770",
    )
    parser.add_argument(
        "--tmin",
        type=float,
        metavar="S",
        help="start of the trials of --events, eegbci or moabb, in s after the event",
    )
    parser.add_argument("--tmax", type=float, metavar="S", help="end of these trials, in s after the event")
    parser.add_argument(
        "--band",
        type=typed.band,
        metavar="4-38",
        help="pass band in Hz of recordings (--events, eegbci, moabb), filtered before they are cut",
    )


def _add_comparing_arguments(parser):
    parser.add_argument(
        "--pipelines",
        type=typed.names,
        metavar="A,B",
        help="names, separated by commas; the first is what the others are tested against "
        "(default: the four baselines and the four networks, of the sample with +ea and the decoders "
        "pretrained and pretrained+finetune; +ea, +ra after a name align each subject first, by Euclidean or "
        "Riemannian means, +ea:causal and +ra:causal trial by trial; attentionbasenet:se picks an attention "
        "mode; sstdpn+own learns, in a calibration, from the tested one's own trials alone)",
    )
    parser.add_argument(
        "--cv",
        choices=CROSS_VALIDATIONS,
        default="cross-subject",
        help="test on other trials, other subjects (default) or other sessions than trained on; calibration: "
        "other subjects, with more and more of the tested one's own trials; cross-dataset: one "
        "data set tested by what the other taught; learning-people, learning-trials: with more and more "
        "subjects, or trials, to train on",
    )
    parser.add_argument(
        "--other-data",
        nargs="+",
        metavar="DATA",
        help="for --cv cross-dataset: the second data set, as --data",
    )
    parser.add_argument(
        "--sizes",
        type=typed.numbers,
        metavar="1,4,all",
        help="for --cv learning-...: numbers of subjects or trials that train (default 1,2,4,...,all, or "
        "8,16,32,...,all)",
    )
    parser.add_argument(
        "--scoring",
        type=typed.names,
        default=["accuracy"],
        metavar="A,B",
        help="scores, of which the first is tested: accuracy (default), balanced_accuracy, kappa, roc_auc, "
        "log_loss, brier, ece, itr, or any of scikit-learn's names",
    )
    parser.add_argument(
        "--own-trials",
        type=typed.numbers_of_trials,
        metavar="0,4,all",
        help="for --cv calibration: numbers of own trials to train on (default 0,4,8,16,40,all)",
    )
    parser.add_argument(
        "--folds", type=typed.at_least(2), default=5, metavar="N", help="largest number of folds (default 5)"
    )
    parser.add_argument(
        "--epochs",
        type=typed.at_least(1),
        metavar="N",
        help="epochs to train a network (default: its own; for the sample 20, for simulated data 30)",
    )
    parser.add_argument(
        "--n-jobs",
        type=typed.n_jobs,
        default=-1,
        metavar="N",
        help="folds side by side (default: one a core; with a GPU, 1 is best)",
    )
    parser.add_argument(
        "--backend",
        metavar="NAME",
        help="dask: folds on the cluster of --scheduler; ray, or what else is registered with joblib "
        "(default: processes of this machine)",
    )
    parser.add_argument(
        "--scheduler", metavar="ADDRESS", help="of Dask, such as tcp://10.0.0.1:8786 or localhost:8786"
    )
    parser.add_argument(
        "--strict", action="store_true", help="stop at the first fold that fails (default: go on, and tell)"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("results"), help="folder to write to (default results)"
    )
    parser.add_argument(
        "--seed", type=typed.at_least(0), default=0, metavar="N", help="random seed (default 0)"
    )
    parser.add_argument(
        "--n-seeds",
        type=typed.at_least(1),
        default=1,
        metavar="N",
        help="seeds to run each pipeline with, --seed and those after it (default 1)",
    )


def _add_predict_arguments(parser):
    parser.add_argument(
        "--data",
        nargs="+",
        required=True,
        metavar="FILE",
        help="Epochs (-epo.fif, .set) or .npz files, trials in the order of time; patterns such as "
        "sub-*-epo.fif",
    )
    parser.add_argument(
        "--decoder",
        default="left-right-hand",
        metavar="NAME",
        help="task, whose decoder is chosen by the channels (default left-right-hand), or decoder",
    )
    parser.add_argument(
        "--alignment",
        choices=("causal", "single", "together"),
        default="causal",
        help="align a trial by itself and those before it (default), by itself, or by all of its file",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="CSV to write (default: print it)")


def _list_decoders():
    """Print what decoders there are."""
    import textwrap

    from skeeg.pretrained import list_pretrained

    listed = list_pretrained()
    _say(listed.drop(columns=["channels", "card"]).to_string(index=False))
    for decoder in listed.itertuples():
        channels = textwrap.fill(decoder.channels, 100, initial_indent="  ", subsequent_indent="  ")
        _say(f"\n{decoder.name}\n{channels}\n  {decoder.card}")
    return 0


def _inspect(arguments, error):
    """Write the figures of a decoder. `error` ends the process with one line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        try:
            X, y, metadata = _load(arguments, error)
            written, left_out = run_inspect(arguments.model, X, y, metadata, arguments.out, arguments.seed)
        except (ValueError, TypeError, OSError) as wrong:
            error(str(wrong))
    _note(caught)
    for name, why in left_out.items():
        print(f"note: no {name}: {why}", file=sys.stderr)
    _say(f"written to {arguments.out}: {', '.join(written)}")
    return 0 if written else 1


def _predict(arguments, error):
    """Label the trials of each file. `error` ends the process with one line."""
    import pandas as pd

    if arguments.out is not None and (arguments.out.is_dir() or not arguments.out.parent.is_dir()):
        error(f"argument --out: {arguments.out} is a folder, or in none that exists; give a file")
    paths = _paths(arguments.data, error)
    if arguments.out is not None and arguments.out.resolve() in [Path(path).resolve() for path in paths]:
        error(f"argument --out: {arguments.out} is a recording of --data; give another file")
    parts = []
    for path in paths:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            try:
                labels, probabilities, said = _decode(path, arguments)
            except (ValueError, TypeError, OSError) as wrong:
                error(str(wrong) if str(wrong).startswith(path) else f"{path}: {wrong}")
        print(f"note: {path}: {said}", file=sys.stderr)
        _note(caught)
        table = pd.DataFrame(probabilities, columns=[f"p_{label}" for label in labels])
        table.insert(0, "label", labels[probabilities.argmax(axis=1)])
        table.insert(0, "trial", range(len(table)))
        table.insert(0, "file", path)
        parts.append(table)
    text = pd.concat(parts).to_csv(index=False)
    if arguments.out is None:
        _say(text.rstrip())
    else:
        try:
            arguments.out.write_text(text, encoding="utf-8")
        except OSError as wrong:
            error(f"argument --out: {wrong}")
    return 0


def _decode(path, arguments):
    """Labels, their probabilities for each trial of a file, and what was made of its channels."""
    from skeeg.datasets import load_epochs
    from skeeg.pretrained import load_pretrained

    X, _, metadata = load_epochs([path], labelled=False)
    names, sfreq = getattr(X, "ch_names", None), getattr(X, "sfreq", None)
    lacking = [name for name, known in (("ch_names", names), ("sfreq", sfreq)) if known is None]
    if lacking:
        raise ValueError(f"lacks {' and '.join(lacking)}, which a decoder goes by; save them in the file too")
    decoder = load_pretrained(arguments.decoder, ch_names=names, alignment=arguments.alignment, verbose=False)
    recording, alignment, network = (step for _, step in decoder.steps)
    people = metadata["subject"].astype(str).to_numpy(dtype=str)
    aligned = alignment.transform(recording.transform(X), groups=people)  # people do not mix
    said = f"{network.pretrained}: {recording.described(names)}"
    return decoder.classes_, network.predict_proba(aligned), said


def _compare(arguments, error):
    """Load, compare, print, write. `error` ends the process with one line."""
    if arguments.out.exists() and not arguments.out.is_dir():
        error(f"argument --out: {arguments.out} is a file; give a folder")
    if arguments.own_trials and arguments.cv != "calibration":
        error("argument --own-trials: only for --cv calibration")
    if bool(arguments.other_data) != (arguments.cv == "cross-dataset"):
        error("argument --other-data: for --cv cross-dataset, which needs it")
    if arguments.sizes and not arguments.cv.startswith("learning-"):
        error("argument --sizes: only for --cv learning-people or learning-trials")

    from skeeg.datasets import summary
    from skeeg.evaluation import compare
    from skeeg.evaluation.pipelines import CALIBRATION, DEFAULT, PRETRAINED, make_pipelines, unknown_among
    from skeeg.evaluation.results import TABLES
    from skeeg.evaluation.running import FoldError
    from skeeg.evaluation.splits import OWN_TRIALS
    from skeeg.report import write_figures, write_report

    # recordings of many people are aligned; the simulated people need none
    of_sample, calibration = arguments.data == ["sample"], arguments.cv == "calibration"
    default = [f"{name}+ea" for name in DEFAULT] if of_sample else list(DEFAULT)
    default = list(CALIBRATION) if calibration else default
    names = arguments.pipelines or [*default, *(PRETRAINED if of_sample else ())]
    if unknown := unknown_among(names):
        error(f"argument --pipelines: unknown {unknown}")

    max_epochs = arguments.epochs
    if max_epochs is None and arguments.data in (["sample"], ["simulated"]):
        max_epochs = SAMPLE_EPOCHS if of_sample else SIMULATION_EPOCHS
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        try:
            X, y, metadata = _load(arguments, error)
            if arguments.other_data:
                X, y, metadata = _with_other(arguments, (X, y, metadata), error)
            read = summary(X, y, metadata)
            _say(read)
            told = _note(caught)  # what is odd about the data is said before anything trains
            pipelines = make_pipelines(
                names,
                sfreq=X.sfreq,
                random_state=None,  # `compare` sets them
                max_epochs=max_epochs,
                calibration=calibration,
            )
            result = compare(
                pipelines,
                X,
                y,
                metadata,
                cv=arguments.cv,
                n_splits=arguments.folds,
                own_trials=arguments.own_trials or OWN_TRIALS,
                sizes=arguments.sizes,
                scoring=arguments.scoring,
                n_seeds=arguments.n_seeds,
                n_jobs=arguments.n_jobs,
                backend=arguments.backend,
                scheduler=arguments.scheduler,
                out=arguments.out,
                strict=arguments.strict,
                random_state=arguments.seed,
            )
        except (ValueError, TypeError, OSError, ImportError) as wrong:  # no data, no answer, no place
            error(str(wrong))
        except FoldError as wrong:
            print(
                f"skeeg compare: {wrong}\n{arguments.out / 'failures'} holds its traceback", file=sys.stderr
            )
            return 1
    later = _note(caught, told)
    _say(f"\n{result}")
    written, status = list(TABLES), 0 if len(result.predictions) else 1
    if not result.predictions.empty:
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("default")
                written += write_figures(result, arguments.out)
                said = {"read": read, "command": arguments.typed, "notes": [*told, *later]}
                written.append(write_report(result, arguments.out / "report.html", **said).name)
            _note(caught)
        except OSError as wrong:  # a full disk; the table was said
            print(f"note: the figures could not be written ({wrong})", file=sys.stderr)
            status = 1
    written = [name for name in written if (arguments.out / name).is_file()]
    _say(f"\nwritten to {arguments.out}: {', '.join(written)}")
    if result.interrupted:
        _say("Interrupted: the same command goes on with the missing folds.")
        return 128 + (result.signal or signal.SIGINT)
    return status


def _note(caught, told=()):
    """Print warnings once each, but for those told already; give all that were told."""
    kinds = (UserWarning, RuntimeWarning)
    messages = dict.fromkeys(
        str(warning.message) for warning in caught if issubclass(warning.category, kinds)
    )
    for message in messages:
        if message not in told:
            print(f"note: {message}", file=sys.stderr, flush=True)
    return messages


def _say(text):
    """Print to a stdout that may know few letters, be full, or have a reader that has read enough."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        for letters, plain in PLAIN_LETTERS.items():
            text = text.replace(letters, plain)
        text = text.encode(encoding, errors="backslashreplace").decode(encoding)
    try:
        print(text, flush=True)
    except OSError as wrong:
        if not isinstance(wrong, BrokenPipeError):
            print(f"note: cannot print ({wrong})", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _load(arguments, error):
    """Trials, labels and metadata of what --data names."""
    from skeeg.datasets import fetch_eegbci, load_epochs, load_moabb, load_motor_imagery, make_motor_imagery

    data, subjects = arguments.data, arguments.subjects
    window = {name: getattr(arguments, name) for name in ("tmin", "tmax", "band")}
    window = {name: value for name, value in window.items() if value is not None}
    of_moabb = data[0].startswith(_MOABB)
    if arguments.paradigm and not of_moabb:
        error(f"argument --paradigm: only for --data {_MOABB}NAME")
    if of_moabb:
        if len(data) > 1 or arguments.events:
            error(f"argument --data: {data[0]} stands alone, without --events; --paradigm names its classes")
        sys.path.append(os.getcwd())  # where a data set of one's own may be, as with python -m
        return load_moabb(data[0].removeprefix(_MOABB), arguments.paradigm, subjects=subjects, **window)
    if data in (["sample"], ["simulated"], ["eegbci"]):
        if arguments.events or (window and data != ["eegbci"]):
            error(
                "argument --events, --tmin, --tmax, --band: for your own recordings, or eegbci (no --events)"
            )
        if data == ["sample"]:
            return load_motor_imagery(subjects)
        if data == ["eegbci"]:
            return fetch_eegbci(subjects or range(1, 11), **window)
        subjects = subjects or SIMULATION_SUBJECTS
        X, y, metadata = make_motor_imagery(max(subjects), **SIMULATION, random_state=arguments.seed)
        chosen = metadata["subject"].isin(subjects).to_numpy()
        return X[chosen], y[chosen], metadata[chosen]
    if subjects:
        error(
            "argument --subjects: only for --data simulated or eegbci or sample; name files of your own data"
        )
    paths = _paths(data, error, "simulated, eegbci, or sample, or ")
    X, y, metadata = load_epochs(paths, events=arguments.events, **window)
    if getattr(X, "sfreq", None) is None:
        error("argument --data: the .npz files have no sampling rate; save it in them as sfreq, in Hz")
    return X, y, metadata


def _with_other(arguments, dataset, error):
    """One data set of --data and --other-data."""
    from skeeg.evaluation import join_datasets

    other = argparse.Namespace(**{**vars(arguments), "data": arguments.other_data, "subjects": None})
    names = [Path(data[0]).stem for data in (arguments.data, arguments.other_data)]
    if names[0] == names[1]:
        names = ["data", "other-data"]
    return join_datasets(dict(zip(names, (dataset, _load(other, error)), strict=True)))


def _paths(data, error, others=""):
    """Files that --data names: patterns, which not every shell expands, become their files."""
    paths = []
    for name in data:
        found = (
            [name]
            if os.path.lexists(name) or not glob.has_magic(name)
            else sorted(glob.glob(name, recursive=True))
        )
        if not found:
            error(f"argument --data: no file matches {name}")
        paths += found
    if missing := [name for name in paths if not os.path.lexists(name)]:
        error(f"argument --data: no file {', '.join(missing)}; give {others}existing files")
    return paths


if __name__ == "__main__":
    sys.exit(main())
