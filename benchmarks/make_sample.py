"""Make the real trials that come with skeeg, which `skeeg.datasets.load_motor_imagery` reads.

    python benchmarks/make_sample.py [FILE]

Recordings come through MNE (set ``MNE_DATASETS_EEGBCI_PATH`` where they lie already). The same recordings and
the same zlib give the same bytes.
"""

import argparse
import io
from pathlib import Path

import numpy as np

from skeeg.datasets import fetch_eegbci
from skeeg.datasets.sample import FILE, LABELS, RESOLUTION, SUBJECTS, differences
from skeeg.files import write_atomically

CHANNELS = [f"{row}{column}" for row in ("FC", "C", "CP") for column in "531z246"]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, nargs="?", default=FILE)
    path = parser.parse_args().file

    X, y, metadata = fetch_eegbci(SUBJECTS, runs=(4, 8, 12), channels=CHANNELS, tmax=4.1, band=(4, 38))
    low, high = differences(np.rint(np.asarray(X, float) / RESOLUTION).astype(np.int32))
    packed = io.BytesIO()
    np.savez_compressed(
        packed,
        low=low,
        high=high,
        y=np.searchsorted(LABELS, y).astype(np.uint8),
        subject=metadata["subject"].to_numpy(np.uint8),
        run=metadata["run"].to_numpy(np.uint8),
        sfreq=X.sfreq,
        ch_names=X.ch_names,
    )
    write_atomically(path, packed.getvalue())
    print(f"{path}: {len(X)} trials, {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
