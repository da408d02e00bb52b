"""Whose recording it is, as names of files and of subjects tell."""

from __future__ import annotations

import re
from pathlib import Path

from skeeg.trials import warn_user

COLUMNS = ("subject", "session", "run")

# Names of well-known data sets, which are not made of words. A session or run that a scheme lacks is "1".
_SCHEMES = [
    re.compile(pattern)
    for pattern in (
        r"(?P<subject>[Ss]\d{3})[Rr](?P<run>\d{2})",  # eegmmidb: S001R04
        r"(?P<subject>B\d{2})(?P<session>\d{2})[TE]",  # BCI competition IV 2b: B0103T
        r"(?P<subject>[A-Z]\d{2})(?P<session>[TE])",  # IV 2a: A01T, A01E; BNCI's 2b: B01T
        r"(?P<subject>S\d{2})(?P<session>[A-C])",  # BNCI 2015-001: S01A, S01B
        r"(?P<subject>S\d+)_(?P<session>\d+)(?P<run>[AB])",  # Zhou 2016: S1_1A
        r"[HW]S_(?P<subject>P\d+)_S(?P<run>\d+)",  # WAY-EEG-GAL: HS_P1_S1
        r"(?P<subject>[A-C]\d+)_R(?P<run>\d+)(_.*)?",  # Dreyer 2023: A1_R3_onlineT
        r"(?P<subject>S[CT]\d{3})(?P<session>\d)[A-Z]\d(-PSG|-Hypnogram)?",  # Sleep-EDF: SC4001E0-PSG
        r"(CLA|HaLT|5F|NoMT|FREEFORM)-Subject(?P<subject>[A-Z])-(?P<session>\d{6})(-.*)?",  # Kaya 2018
        r"BCICIV_(?P<session>calib|eval)_(?P<subject>ds1[a-g])(_.*)?",  # BCI competition IV 1
    )
]
_WORDS = {"session": "session|sess|ses|day|visit|week", "run": "run|block|series"}
_WHEN = (
    "calibration|calib|training|train|evaluation|eval|test|offline|online|feedback|"
    "pre|post|morning|afternoon|evening|before|after|first|second|third"
)
_WHAT = (
    "left|right|rest|hands?|feet|foot|tongue|ec|eo|eyes|open|closed|mi|me|imagery|imagination|execution|"
    "motor[-_ ]?(imagery|imagination|execution)"
)
# Words that kinds of people and of data are numbered by, not the recordings of one person.
_KINDS = {
    "group", "study", "site", "lab", "exp", "experiment", "dataset", "data", "set", "ds", "cohort", "center",
    "centre", "bci", "task",
}  # fmt: skip
_PEOPLE = _KINDS | {
    "s", "su", "sub", "sbj", "subj", "subject", "p", "pp", "part", "participant", "pat", "patient", "pilot",
    "person", "people", "proband", "vp", "id", "user", "u", "v", "volunteer", "h", "healthy", "c", "ctrl",
    "control", "hc", "bciciv", "bnci", "eeg", "mi", "mm", "motor", "imagery", "epoch", "epochs", "file", "x",
    "n", "nr", "no", "sc", "st",
}  # fmt: skip
# What may tell one recording of a person from another at the end of a name.
_ENDINGS = (
    r"[-_ .T]*20\d\d[-_.]?[01]\d[-_.]?[0-3]\d([-_ T.]?\d[-\d_:.h]*)?",  # a date, and a time
    r"[-_ T.]*\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])",
    rf"([-_ .]({_WHEN}|{_WHAT}))+[-_ .]?\d*",
    r" ?\(\d+\)",  # a copy
    r"[-_ .](part|trials?|rec|recording|file)?[-_ .]?[a-z]?\d{1,3}[a-z]?",
    r"[-_ .][a-z]",
    r"(?<=\d)[a-z]",
    r"(?<=[a-z]{2})\d{1,3}",
)
_MANY = 10  # "ku1" to "ku54" are people, "anna1" and "anna2" are not


def origin_of_name(path):
    """Tell subject, session and run of a file by its name.

    Parameters
    ----------
    path : path-like
        The file; it need not exist.

    Returns
    -------
    dict
        Text of "subject", "session" and "run": of a name in the manner of BIDS
        (``sub-01_ses-2_run-3_epo.fif``), of a well-known data set (``A01T``, ``B0103T``, ``S001R04``), or
        with words for it (``sess01_subj02_EEG_MI``, ``S1_Session_1``). Session and run are "1" where the
        name has none, the subject is what is left of the name; of ``run2.npz``, the folder's name.

    Examples
    --------
    >>> origin_of_name("sub-01_ses-2_run-3_epo.fif")
    {'subject': '01', 'session': '2', 'run': '3'}
    >>> origin_of_name("A01E-epo.fif")
    {'subject': 'A01', 'session': 'E', 'run': '1'}
    """
    path = Path(path)
    origin = _parsed(_stem(path.name))
    if not origin["subject"]:
        origin["subject"] = path.resolve().parent.name or "1"
    return origin


def _stem(name):
    """The name without ending, and without what MNE's conventions add."""
    name = re.sub(r"(\.fif)?\.gz$|\.[a-z]\w{1,4}$", "", name, flags=re.IGNORECASE)
    return re.sub(r"[-_. ](epo|epochs?|raw|eeg|meg)(-\d+)?$", "", name, flags=re.IGNORECASE)


def _parsed(stem):
    """Subject, "" where there is nothing left for it, session and run."""
    origin = {"subject": "", "session": "1", "run": "1"}
    for scheme in _SCHEMES:
        if found := scheme.fullmatch(stem):
            return origin | {name: value for name, value in found.groupdict().items() if value}
    for column, entity in (("session", "ses"), ("run", "run")):
        bids = rf"(?:^|_){entity}-([^_]+)"
        # a word of its own, or right after a number: "subject1session2"
        words = rf"(?:(?<![a-z])|(?<=\d))(?:{_WORDS[column]})[-_ .]*(\d+[a-z]?)(?![a-z0-9])"
        if found := re.search(bids, stem) or re.search(words, stem, flags=re.IGNORECASE):
            origin[column] = found[1]
            stem = stem[: found.start()].rstrip("-_ .") + stem[found.end() :]
    if found := re.search(r"(?:^|_)sub-([^_]+)", stem):  # BIDS: the other entities are not who it is
        stem = found[1]
    return origin | {"subject": stem.strip("-_ .")}


def one_person_as_several(subjects) -> list[list]:
    """Find subjects whose names look like sessions, runs or spellings of one person.

    Parameters
    ----------
    subjects : iterable
        Names or numbers; each may come several times.

    Returns
    -------
    list of list
        Subjects that differ only by what looks like a session, a run or a date at the end ("anna1", "anna2";
        "A01T", "A01E") or in spelling (1, "01"), together.

    Examples
    --------
    >>> one_person_as_several(["A01T", "A01E", "A02T", "A02E", "A03T"])
    [['A01T', 'A01E'], ['A02T', 'A02E']]
    >>> one_person_as_several(["s01", "s02", "aa", "al", "av", 7])
    []
    """
    people = {}
    for subject in dict.fromkeys(subjects):
        people.setdefault(_person(str(subject)), []).append(subject)
    return [
        names
        for names in people.values()
        if len(names) > 1
        and not (len(names) >= _MANY and all(re.fullmatch(r"[^\W\d_]+\d+", str(name)) for name in names))
    ]


def warn_of_one_person_as_several(subjects):
    """Warn where names of different subjects look like sessions or runs of one person.

    Parameters
    ----------
    subjects : iterable
        Subject of each trial, or each subject once.
    """
    groups = one_person_as_several(subjects)
    if groups:
        shown = "; ".join(", ".join(map(str, names[:4])) + ", ..." * (len(names) > 4) for names in groups[:4])
        warn_user(
            f"these subjects have names like sessions, runs or spellings of one person: {shown}"
            f"{f'; and {len(groups) - 4} more' if len(groups) > 4 else ''}. If they are, the same person "
            "trains and tests: give them one subject, and session or run its own column (sub-01_ses-1_run-1 "
            "in the names of files does)"
        )


def _person(subject):
    """What is left of a name without what may be a session or run: its words and numbers."""
    subject = re.sub(r"(?<=\d)\.0$", "", subject)  # 1.0, as a column with missing values has it
    stem = _parsed(subject)["subject"] or subject
    stem = re.sub(rf"^({_WHEN}|{_WHAT})[-_ .]+(?=.*\d)", "", stem, flags=re.IGNORECASE)
    if found := re.match(r"(.*?(?<![a-z])(?:sub|subj|subject|participant)[-_ ]?\d+)", stem, re.IGNORECASE):
        stem = found[1]  # "sub1_reaching", "sub1_grasping"
    elif stem == subject and not re.fullmatch(r"ds\d[a-g]", stem):
        endings = (re.fullmatch(f"(.+?){ending}", stem, flags=re.IGNORECASE) for ending in _ENDINGS)
        stem = next((found[1] for found in endings if found and not _names_a_kind(found[1])), stem)
    words = re.findall(r"\d+|[^\W\d_]+", stem.casefold())
    return tuple(int(word) if word.isdecimal() else word for word in words) or (subject,)


def _names_a_kind(stem):
    """Whether a name without its ending tells no person: "subject", "bci_group1"; "s01" and "anna" do."""
    words = re.findall(r"[^\W\d_]+", stem.casefold())
    numbered = bool(re.search(r"\d", stem))
    return all(word in _PEOPLE for word in words) and (not numbered or (bool(words) and words[-1] in _KINDS))
