"""Do figures show what is there? Patterns, bands and importance against sources that are known.

    python benchmarks/faithfulness.py [--people 5] [--epochs 30]

For each network and baseline, on simulated people whose sources are known: how the pattern of the component
that tells the classes apart best resembles the topography of the hand area (correlation over the
electrodes), and CSP's pattern; whether the -6 dB band of its temporal filter holds the person's mu or beta
rhythm; whether permuting the five channels over each hand area, of trials held out, costs more than
permuting all twelve others. Then, trained on five people of the sample of real recordings and looked at in
the five others: how much larger the pattern is at C4 (C3) than at C3 (C4) for the component whose power
falls most in left (right) hand imagery, in µV, and its band.
"""

import argparse
import warnings

import numpy as np
import pandas as pd
from sklearn.pipeline import make_pipeline

from skeeg import (
    AttentionBaseNetClassifier,
    FBLightConvNetClassifier,
    Scaler,
    SincShallowNetClassifier,
    SSTDPNClassifier,
)
from skeeg.baselines import make_csp_lda, make_fbcsp_lda, make_tangent_space_lr
from skeeg.datasets import load_motor_imagery, make_motor_imagery
from skeeg.inspection import find_importance, find_patterns

AREAS = {"left": ["FC3", "C5", "C3", "C1", "CP3"], "right": ["FC4", "C6", "C4", "C2", "CP4"]}


def pipelines(epochs):
    """Decoders by name."""
    settings = {"max_epochs": epochs, "random_state": 0, "verbose": 0}
    networks = {
        "sstdpn": SSTDPNClassifier(**settings),
        "attentionbasenet": AttentionBaseNetClassifier(attention_mode="se", **settings),
        "sincshallownet": SincShallowNetClassifier(**settings),
        "fblightconvnet": FBLightConvNetClassifier(win_len=125, **settings),
    }
    found = {name: make_pipeline(Scaler(), network) for name, network in networks.items()}
    return found | {
        "csp-lda": make_csp_lda(),
        "fbcsp-lda": make_fbcsp_lda(),
        "tangent-space-lr": make_tangent_space_lr(),
    }


def of_hand(patterns, side):
    """The component whose power falls most where that hand is imagined; classes are left, right."""
    table = patterns.components
    own = table[table["effect"] > 0] if side == "left" else table[table["effect"] < 0]
    best = own["eta2"].idxmax()
    return table.loc[best], patterns.patterns_[best]


def resemblance(one, other):
    return abs(np.corrcoef(one, other)[0, 1])


def simulated(seed, epochs):
    """Rows of the table for one person."""
    X, y, _, sources = make_motor_imagery(
        n_subjects=1, n_trials=160, n_chans=22, difficulty=0.0, random_state=seed, return_sources=True
    )
    sources = sources.set_index("source")
    train, test = slice(0, 120), slice(120, None)
    found = {name: decoder.fit(X[train], y[train]) for name, decoder in pipelines(epochs).items()}
    csp = find_patterns(found["csp-lda"], X[train], y[train])
    for name, decoder in found.items():
        patterns = find_patterns(decoder, X[train], y[train])
        areas = AREAS | {"elsewhere": [c for c in X.ch_names if c not in {*AREAS["left"], *AREAS["right"]}]}
        importance = find_importance(decoder, X[test], y[test], channels=areas, n_repeats=5).table
        first = set(importance.nlargest(2, "lost")["part"])
        for side in ("left", "right"):
            component, pattern = of_hand(patterns, side)
            source = sources.loc[f"{side} hand"]
            low, high = component["low"], component["high"]
            yield {
                "decoder": name,
                "true topography": resemblance(pattern, source[list(X.ch_names)].astype(float)),
                "CSP's pattern": resemblance(pattern, of_hand(csp, side)[1]),
                "band holds mu or beta": low <= source["mu"] <= high or low <= source["beta"] <= high,
                "hand areas first": first == set(AREAS),
            }


def recorded(epochs):
    """Rows of the table of real recordings."""
    X, y, metadata = load_motor_imagery()
    people = metadata["subject"].to_numpy()
    train, test = people > 5, people <= 5
    for name, decoder in pipelines(epochs).items():
        patterns = find_patterns(decoder.fit(X[train], y[train]), X[test], y[test], groups=people[test])
        row = {"decoder": name}
        for side, near, far in (("left", "C4", "C3"), ("right", "C3", "C4")):
            component, pattern = of_hand(patterns, side)
            ratio = abs(pattern[X.ch_names.index(near)]) / abs(pattern[X.ch_names.index(far)])
            row |= {
                f"{side}: {near} / {far}": ratio,
                f"{side}: band": f"{component['low']:.0f}-{component['high']:.0f}",
            }
        yield row


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=30)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)
    rows = [row for seed in range(arguments.people) for row in simulated(seed, arguments.epochs)]
    table = pd.DataFrame(rows).groupby("decoder", sort=False)
    print(f"simulated, {arguments.people} people, both hands: median correlation [lowest], share that holds")
    for name, of_decoder in table:
        one, other = of_decoder["true topography"], of_decoder["CSP's pattern"]
        shares = of_decoder[["band holds mu or beta", "hand areas first"]].mean()
        print(
            f"{name:18} {one.median():.3f} [{one.min():.3f}]  {other.median():.3f} [{other.min():.3f}]  "
            f"{shares.iloc[0]:.2f}  {shares.iloc[1]:.2f}"
        )
    print("\nsample of real recordings, trained on people 6-10, patterns of people 1-5")
    print(pd.DataFrame(recorded(arguments.epochs)).to_string(index=False, float_format="{:.2f}".format))


if __name__ == "__main__":
    main()
