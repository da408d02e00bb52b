"""What users type for the command, as values; what cannot be meant is refused with an example."""

import argparse
import re


def subjects(text):
    """Read "1-3,7" as [1, 2, 3, 7]."""
    found = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last:
            raise argparse.ArgumentTypeError(f"{part!r} is no subject or range; write 1-10 or 1,3,7")
        found.extend(range(first, last + 1))
    return sorted(set(found))


def events(text):
    """Read "left=769,right=770" as {"left": ["769"], "right": ["770"]}."""
    found = {}
    for part in text.split(","):
        label, equals, name = (piece.strip() for piece in part.partition("="))
        if not (label and equals and name):
            raise argparse.ArgumentTypeError(f"{part!r} is no label=annotation; write left=769,right=770")
        found.setdefault(label, []).append(name)
    return found


def band(text):
    """Read "4-38" as (4.0, 38.0)."""
    match = re.fullmatch(r"(\d+\.?\d*)-(\d+\.?\d*)", text.strip())
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no band in Hz; write 4-38")
    return float(match[1]), float(match[2])


def names(text):
    """Read "csp-lda,sstdpn" as a list, each once."""
    found = [name.strip() for name in text.split(",") if name.strip()]
    if not found:
        raise argparse.ArgumentTypeError("no name given; write for example csp-lda,sstdpn")
    return list(dict.fromkeys(found))


def numbers_of_trials(text):
    """Read "0,4,all" as [0, 4, "all"]; one trial teaches no two classes."""
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if part != "all" and not (part.isdecimal() and part.isascii() and int(part) != 1):
            raise argparse.ArgumentTypeError(f"{part!r} must be 0, at least 2, or all; write 0,4,8,all")
    return [part if part == "all" else int(part) for part in parts]


def numbers(text):
    """Read "1,4,all" as [1, 4, "all"]."""
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if part != "all" and not (part.isdecimal() and part.isascii() and int(part) > 0):
            raise argparse.ArgumentTypeError(f"{part!r} must be at least 1, or all; write 1,4,all")
    return [part if part == "all" else int(part) for part in parts]


def at_least(lowest):
    """Make a reader of whole numbers from `lowest` on."""

    def integer(text):
        if not re.fullmatch(r"\d+", text) or int(text) < lowest:
            raise argparse.ArgumentTypeError(f"{text!r} must be an integer of at least {lowest}")
        return int(text)

    return integer


def n_jobs(text):
    """Read a number of jobs: -1, or at least 1."""
    if not re.fullmatch(r"-1|[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"{text!r} must be a positive integer, or -1 for one job a core")
    return int(text)
