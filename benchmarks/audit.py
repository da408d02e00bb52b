"""Does the audit find the gaze? Recordings that nothing was filtered from, and a classifier of slow levels.

    python benchmarks/audit.py [--people 10]

PhysioNet's EEGBCI, imagined left and right fist, 3 s after the cue, four channels over the eyes and three
over the motor strip: ``MNE_DATASETS_EEGBCI_PATH`` names the folder that holds ``MNE-eegbci-data``. A linear
classifier of how far each channel drifts from where it began sees people look to the side of the target.
Prints `skeeg.inspection.audit` of it.
"""

import argparse

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skeeg.datasets import fetch_eegbci
from skeeg.inspection import audit

CHANNELS = ["Fp1", "Fp2", "AF7", "AF8", "C3", "Cz", "C4"]


def levels(X):
    """How far each channel is from where it began, in ten pieces of the trial."""
    X = np.asarray(X)
    length = X.shape[2] // 10
    pieces = X[:, :, : 10 * length].reshape(*X.shape[:2], 10, length).mean(axis=3)
    return (pieces - pieces[:, :, :1]).reshape(len(X), -1)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=10, help="from the first")
    people = range(1, parser.parse_args().people + 1)
    X, y, metadata = fetch_eegbci(people, channels=CHANNELS)
    slow = make_pipeline(FunctionTransformer(levels), StandardScaler(), LogisticRegression(C=0.01))
    print(audit(slow, X, y, metadata=metadata))


if __name__ == "__main__":
    main()
