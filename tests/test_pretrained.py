"""Decoders of the wheel: found by task and montage, right for anybody's trials, or refused."""

import mne
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from skorch.callbacks import Callback

import skeeg
from skeeg import AttentionBaseNetClassifier, EEGArray
from skeeg.datasets import load_motor_imagery
from skeeg.estimators.shipped import DECODERS
from skeeg.pretrained import list_pretrained, load_pretrained

MOTOR = DECODERS["left-right-hand-21"].channels


@pytest.fixture(scope="module")
def sample():
    return load_motor_imagery()


def one_person(sample, subject=0):
    X, y, metadata = sample
    own = (metadata["subject"] == metadata["subject"].unique()[subject]).to_numpy()
    return X[own], y[own]


def decode(X, **options):
    return load_pretrained("left-right-hand", verbose=False, **options).predict_proba(X)


def as_epochs(X, tmin=0.0, ch_names=None):
    info = mne.create_info(list(ch_names or X.ch_names), X.sfreq, "eeg")
    return mne.EpochsArray(np.asarray(X, dtype=float) * 1e-6, info, tmin=tmin, verbose="error")


def test_every_decoder_has_weights_and_a_card():
    listed = list_pretrained()
    assert listed["name"].tolist() == list(DECODERS)
    assert listed["accuracy"].between(60, 90).all() and (listed["licence"] == "ODC-BY 1.0").all()
    for decoder in DECODERS.values():
        assert decoder.card.read_text("utf-8").startswith("#")
        assert decoder.licence in decoder.card.read_text("utf-8")
        assert f"| {decoder.accuracy} |" in decoder.card.read_text("utf-8")
        network = skeeg.load(decoder.path)[-1]
        assert network.ch_names_ == decoder.channels
        assert network.sfreq_ == decoder.sfreq
        assert network.n_times_ == round(decoder.duration * decoder.sfreq)
    assert sum(decoder.path.stat().st_size for decoder in DECODERS.values()) < 500_000


def test_better_than_chance_on_people_it_has_not_seen(sample):
    X, y, metadata = sample
    right = []
    for subject in metadata["subject"].unique():
        own = (metadata["subject"] == subject).to_numpy()
        right.append(
            np.mean(
                load_pretrained(
                    "left-right-hand", ch_names=X.ch_names, alignment="causal", verbose=False
                ).predict(X[own])
                == y[own]
            )
        )
    assert np.mean(right) > 0.62


def test_a_trial_is_decoded_alone(sample):
    X, _ = one_person(sample)
    together = decode(X[:6])
    alone = np.concatenate([decode(X[i : i + 1]) for i in range(6)])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_causal_trials_know_the_past_alone(sample):
    X, _ = one_person(sample)
    whole = decode(X[:12], alignment="causal")
    np.testing.assert_allclose(whole[:5], decode(X[:5], alignment="causal"), atol=1e-6)
    assert not np.allclose(whole[5:], decode(X[5:12], alignment="causal"), atol=1e-3)


def test_what_is_remembered_from_call_to_call(sample):
    X, _ = one_person(sample)
    live = load_pretrained("left-right-hand", alignment="causal", update=True, verbose=False)
    one_by_one = np.concatenate([live.predict_proba(X[i : i + 1]) for i in range(8)])
    np.testing.assert_allclose(one_by_one, decode(X[:8], alignment="causal"), atol=1e-6)


def test_trials_together_are_one_person(sample):
    X, _ = one_person(sample)
    whole = decode(X, alignment="together")
    order = np.random.default_rng(0).permutation(len(X))
    np.testing.assert_allclose(whole[order], decode(X[order], alignment="together"), atol=1e-5)
    assert not np.allclose(whole[:5], decode(X[:5], alignment="together"), atol=1e-3)


@pytest.mark.parametrize("alignment", ["single", "causal", "together"])
def test_unit_order_and_names_do_not_matter(sample, alignment):
    X, _ = one_person(sample)
    X = X[:8]
    expected = decode(X, alignment=alignment)
    order = np.random.default_rng(0).permutation(21)
    spelt = [f"EEG {X.ch_names[i].upper()}-Ref" for i in order]
    mixed = EEGArray(np.asarray(X)[:, order] * 1e-3, X.sfreq, spelt)
    np.testing.assert_allclose(decode(mixed, alignment=alignment, ch_names=spelt), expected, atol=1e-5)
    plain = np.asarray(X)[:, order]
    given = {"ch_names": [f"{X.ch_names[i].lower()}." for i in order], "sfreq": 160}
    np.testing.assert_allclose(decode(plain, alignment=alignment, **given), expected, atol=1e-5)
    np.testing.assert_allclose(decode(as_epochs(X), alignment=alignment), expected, atol=1e-5)


def test_another_sampling_rate(sample):
    X, _ = one_person(sample)
    other = EEGArray(
        mne.filter.resample(np.asarray(X[:8], float), 250, 160, verbose="error"), 250, X.ch_names
    )
    np.testing.assert_allclose(decode(other), decode(X[:8]), atol=0.05)


def test_the_window_follows_the_cue(sample):
    X, _ = one_person(sample)
    X = X[:8]
    early = EEGArray(np.concatenate([np.asarray(X)[:, :, :80][:, :, ::-1], X], axis=2), 160, X.ch_names)
    late = decode(as_epochs(early, tmin=-0.5))
    np.testing.assert_allclose(late, decode(early, tmin=-0.5), atol=1e-5)
    np.testing.assert_allclose(late, decode(X), atol=0.05)  # the filter sees another beginning
    assert not np.allclose(late, decode(early), atol=0.05)


def test_the_montage_chooses(sample, capsys):
    X, _ = one_person(sample)
    load_pretrained("left-right-hand", ch_names=["Fz", "C3", "Cz", "C4", "Pz"])
    assert capsys.readouterr().out == "left-right-hand-3: 3 of 3 channels are there; left out: Fz, Pz\n"
    most = [name for name in MOTOR if name not in ("FC5", "CP6")]
    decoder = load_pretrained("left-right-hand", ch_names=[*most, "Oz"])
    said = "19 of 21 channels are there, FC5, CP6 interpolated from the others; left out: Oz"
    assert capsys.readouterr().out == f"left-right-hand-21: {said}\n"
    kept = [X.ch_names.index(name) for name in most]
    agree = decoder.predict(X[:, kept]) == load_pretrained("left-right-hand", verbose=False).predict(X)
    assert agree.mean() > 0.85
    with pytest.raises(ValueError, match=r"needed, and not .*'FC5', 'CP6'.* all must be there"):
        load_pretrained("left-right-hand", missing_channels="raise", verbose=False).predict(X[:, kept])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "left-right-foot"}, "no decoder is called 'left-right-foot'; there are the tasks"),
        ({"ch_names": ["Fz", "Pz", "Oz"]}, r"fits the channels .*Needed are C3, C4 .*C3, Cz, C4"),
        ({"ch_names": ["C3-Cz", "C4-Cz", "Cz"]}, "fits the channels"),
        ({"alignment": "batch"}, "alignment='batch' is none of"),
        ({"alignment": "single", "update": True}, "update=True"),
        ({"alignment": "causal", "update": "yes"}, "'update' parameter .* Got 'yes'"),
        ({"missing_channels": "rais"}, "'missing_channels' parameter .* Got 'rais'"),
        ({"start": -1}, "'start' parameter .* Got -1"),
        ({"tmin": np.nan}, "'tmin' parameter .* Got nan"),
        ({"ch_names": [b"C3", b"Cz", b"C4"]}, "b'C3' is no channel's name"),
        ({"name": "left-right-hand-64", "ch_names": MOTOR}, "needed, and not .*'Fp1'.*two thirds"),
        ({"ch_names": ["C3", "C4"]}, "'Cz'.* cannot be interpolated"),
        ({"ch_names": [f"{a}{i}" for a in "ABCD" for i in range(1, 33)]}, "called by their plugs"),
    ],
)
def test_what_there_is_not_is_said(sample, options, message):
    X, _ = one_person(sample)
    with pytest.raises(ValueError, match=message):
        load_pretrained(**{"name": "left-right-hand", "verbose": False} | options).predict(X[:1])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda X: np.asarray(X), "21 channels without names, and .*are needed: give ch_names"),
        (lambda X: EEGArray(X, None, X.ch_names), "sampling rate of X is not known: give sfreq"),
        (lambda X: X[:, :, :400], "trials of 400 samples at 160 Hz last 2.5 s, and 3 s are needed"),
        (lambda X: EEGArray(X[:, :, ::3], 160 / 3, X.ch_names), "holds nothing above 26.6667 Hz"),
        (lambda X: X[:, :10], "needed, and not .*two thirds .* ch_names=.* finds a decoder"),
    ],
)
def test_trials_that_cannot_be_decoded_are_refused(sample, make, message):
    X, _ = one_person(sample)
    with pytest.raises(ValueError, match=message):
        decode(make(X))


@pytest.mark.parametrize(
    ("tmin", "decoded"), [(0.5, "0.5 to 3.5"), (-3.0, "-1.9 to 1.1"), (-10.0, "-8.9 to -5.9")]
)
def test_another_window_than_the_decoders_is_said(sample, tmin, decoded):
    X, _ = one_person(sample)
    with pytest.warns(UserWarning, match=rf"window is 0 to 3 s: what is decoded is {decoded} s"):
        decode(as_epochs(X[:1], tmin=tmin))


def test_the_window_a_sample_short_is_the_decoders(sample, recwarn):
    X, _ = one_person(sample)
    whole = decode(X[:4])
    for n_times in (478, 479, 481):
        np.testing.assert_allclose(decode(X[:4, :, :n_times]), whole, atol=0.05)
    decode(X[:1], tmin=0.01)
    assert not recwarn.list


def test_epochs_of_two_windows_are_refused(sample):
    X, _ = one_person(sample)
    with pytest.raises(ValueError, match=r"begin at other times after their events: tmin=\[-0.5, 0.0\]"):
        decode([as_epochs(X[:2]), as_epochs(X[2:4], tmin=-0.5)])


def test_interpolation_that_was_not_printed_is_said(sample, recwarn):
    X, _ = one_person(sample)
    epochs = as_epochs(X[:1])
    epochs.info["bads"] = ["C3"]
    for ch_names in (None, X.ch_names):
        with pytest.warns(UserWarning, match=r"\['C3'\] are not in X, or bad: .*interpolated"):
            decode(epochs, ch_names=ch_names)
    recwarn.clear()
    good = [name for name in X.ch_names if name != "C1"]
    decode(X[:1, [X.ch_names.index(name) for name in good]], ch_names=good)
    assert not recwarn.list


def test_constant_channels_are_said(sample):
    X, _ = one_person(sample)
    flat = np.array(X[:70])
    flat[:, [8, 10]] = 7
    with pytest.warns(UserWarning, match=r"channels \['C3', 'Cz'\] are constant"):
        decode(EEGArray(flat, 160, X.ch_names))


def test_names_in_caps_of_plugs(sample):
    plugs = EEGArray(np.ones((1, 128, 480)), 160, [f"{a}{i}" for a in "ABCD" for i in range(1, 33)])
    with pytest.raises(ValueError, match="called by their plugs, where C3 is not the C3"):
        load_pretrained("left-right-hand-3", verbose=False).predict(plugs)


def test_two_spellings_of_one_electrode_are_refused(sample):
    X, _ = one_person(sample)
    twice = EEGArray(np.concatenate([X, X[:, :1]], axis=1), 160, [*X.ch_names, "EEG FC5-Ref"])
    with pytest.raises(ValueError, match="one electrode by their names"):
        decode(twice)


def test_fit_goes_on_from_the_weights(sample):
    X, y = one_person(sample)
    decoder = load_pretrained("left-right-hand", verbose=False, alignment="together")
    before = decoder.predict_proba(X)
    tuned = (
        clone(decoder).set_params(network__random_state=0, network__lr=1e-6, network__max_epochs=1).fit(X, y)
    )
    np.testing.assert_allclose(tuned.predict_proba(X), before, atol=0.05)
    better = clone(decoder).set_params(network__random_state=0).fit(X, y)
    assert better.score(X, y) > np.mean(decoder.predict(X) == y)


def test_a_decoder_by_name_in_a_classifier(sample):
    X, y = one_person(sample)
    clf = AttentionBaseNetClassifier(pretrained="left-right-hand", max_epochs=1, lr=1e-6, random_state=0)
    standard = EEGArray(X[:, :, :480] / X.std(), 160, X.ch_names)
    clf.fit(standard, y)
    weights = skeeg.load(DECODERS["left-right-hand-21"].path)[-1].module_.state_dict()
    for name, value in clf.module_.state_dict().items():
        if "running" not in name and "num_batches" not in name:
            np.testing.assert_allclose(value, weights[name], atol=1e-3)
    said = r"is no file, no repository .* and no decoder of the wheel: .*-21.*, or left-right-hand "
    with pytest.raises(ValueError, match=said):
        AttentionBaseNetClassifier(pretrained="left-right-hnd").fit(standard, y)
    with pytest.raises(ValueError, match="takes channels by their names, and X has none"):
        clone(clf).fit(np.asarray(standard), y)
    for other, said in ((X, "656 samples, .* takes 480"), (EEGArray(standard, 250, X.ch_names), "250.0 Hz")):
        with pytest.raises(ValueError, match=f"{said}.*load_pretrained"):
            clone(clf).fit(other, y)
    with pytest.warns(UserWarning, match=r"labels \[769, 770\], .* tells \['left_hand', .* anew"):
        clone(clf).fit(standard, np.where(y == "left_hand", 769, 770))


class Watch(Callback):
    """Keeps the trials and labels of every training batch."""

    def on_train_begin(self, net, **kwargs):
        self.batches = []

    def on_batch_begin(self, net, batch, training=False, **kwargs):
        if training:
            self.batches.append((batch[0].numpy().copy(), np.asarray(batch[1])))

    def seen(self):
        X, y = (np.concatenate(part) for part in zip(*self.batches, strict=True))
        return sorted((trial.tobytes(), label) for trial, label in zip(X, y, strict=True))


@pytest.mark.parametrize("extra", [(), ("Fz", "EEG T3-Ref")])
def test_own_trials_are_learned_from_with_their_mirror_images(sample, extra):
    X, y = one_person(sample)
    names = [*X.ch_names, *extra]
    trials = np.random.default_rng(0).standard_normal((10, len(names), 480)).astype(np.float32)
    clf = AttentionBaseNetClassifier(
        pretrained="left-right-hand", max_epochs=1, random_state=0, callbacks=[Watch()], verbose=0
    )
    clf.fit(EEGArray(trials, 160, names), y[:10])
    across = {"1": "2", "2": "1", "3": "4", "4": "3", "5": "6", "6": "5", "z": "z"}
    mirrored = trials.copy()
    for i, name in enumerate(MOTOR):  # what no decoder looks at stays
        mirrored[:, names.index(name[:-1] + across[name[-1]])] = trials[:, i]
    others = np.where(y[:10] == "left_hand", "right_hand", "left_hand")
    seen = sorted(clf.callbacks_[-1][1].seen())
    expected = [*zip(trials, y[:10], strict=True), *zip(mirrored, others, strict=True)]
    assert seen == sorted((trial.tobytes(), label) for trial, label in expected)
    seen = clf.partial_fit(EEGArray(trials, 160, names), y[:10]).callbacks_[-1][1].seen()
    assert len(seen) == 20


def test_what_has_no_mirror_image_is_learned_from_as_it_is(sample):
    X, y = one_person(sample)
    standard = EEGArray(X[:10, :, :480] / X.std(), 160, X.ch_names)
    clf = AttentionBaseNetClassifier(
        pretrained="left-right-hand", max_epochs=1, random_state=0, callbacks=[Watch()], verbose=0
    )

    def n_seen(X, y, **params):
        return len(clone(clf).set_params(**params).fit(X, y).callbacks_[-1][1].seen())

    assert n_seen(standard, y[:10]) == 20
    assert n_seen(standard, y[:10], train_split=[0, 1, 2]) == 14  # nor is it tested on them
    assert n_seen(standard, y[:10], augmentation=[]) == 10
    assert n_seen(standard, y[:10], iterator_train__shuffle=False) == 10
    good = [i for i, name in enumerate(X.ch_names) if name != "FC5"]
    odd = EEGArray(np.asarray(standard)[:, good], 160, [X.ch_names[i] for i in good])
    assert n_seen(odd, y[:10], missing_channels="interpolate") == 10
    with pytest.warns(UserWarning, match="trials are not mirrored"):
        assert n_seen(standard, np.where(y[:10] == "left_hand", 769, 770)) == 10
    shipped = FrozenEstimator(skeeg.load(DECODERS["left-right-hand-21"].path)[-1])
    assert n_seen(standard, y[:10], pretrained=shipped) == 10


def test_saved_and_loaded(sample, tmp_path):
    X, _ = one_person(sample)
    live = load_pretrained("left-right-hand", alignment="causal", update=True, verbose=False)
    live.predict(X[:5])
    skeeg.save(live, tmp_path / "live.safetensors")
    same = skeeg.load(tmp_path / "live.safetensors")
    np.testing.assert_array_equal(same.predict_proba(X[5:9]), live.predict_proba(X[5:9]))


def test_the_command_predicts_without_training(tmp_path, capsys):
    from skeeg.cli import main

    X, y, metadata = skeeg.datasets.load_motor_imagery()
    own = (metadata["subject"] == metadata["subject"].iloc[0]).to_numpy()
    path = tmp_path / "mine.npz"
    np.savez(path, X=np.asarray(X[own]), y=y[own], sfreq=X.sfreq, ch_names=X.ch_names)
    assert main(["predict", "--data", str(path), "--out", str(tmp_path / "labels.csv")]) == 0
    rows = [line.split(",") for line in (tmp_path / "labels.csv").read_text().splitlines()]
    assert rows[0] == ["file", "trial", "label", "p_left_hand", "p_right_hand"]
    decoder = load_pretrained("left-right-hand", alignment="causal", verbose=False)
    assert [row[2] for row in rows[1:]] == decoder.predict(X[own]).tolist()
    assert "21 of 21 channels are there" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        main(["predict", "--data", str(path), "--decoder", "feet"])
    assert stopped.value.code == 2 and "left-right-hand" in capsys.readouterr().err


def test_the_command_lists_what_there_is(capsys):
    from skeeg.cli import main

    assert main(["pretrained"]) == 0
    told = capsys.readouterr().out
    for decoder in DECODERS.values():
        assert decoder.name in told and f"{decoder.accuracy}" in told and str(decoder.card) in told
        assert all(name in told.split() for name in decoder.channels)


def test_the_command_needs_no_labels(sample, tmp_path):
    from skeeg.cli import main

    X, y = one_person(sample)
    early = np.concatenate([np.asarray(X)[:, :, :80][:, :, ::-1], X], axis=2)
    tables = []
    for labels in ({}, {"y": y}, {"y": np.array([object()] * len(y))}):  # nor looks at them
        path = tmp_path / "mine.npz"
        np.savez(path, X=early, sfreq=X.sfreq, ch_names=X.ch_names, tmin=-0.5, **labels)
        assert main(["predict", "--data", str(path), "--out", str(tmp_path / "labels.csv")]) == 0
        tables.append((tmp_path / "labels.csv").read_text())
    assert tables[0] == tables[1] == tables[2]
    expected = load_pretrained("left-right-hand", alignment="causal", verbose=False)
    predicted = [line.split(",")[2] for line in tables[0].splitlines()[1:]]
    assert predicted == expected.predict(EEGArray(early, 160, X.ch_names, tmin=-0.5)).tolist()


def test_the_command_says_what_becomes_of_bad_channels(sample, tmp_path, capsys):
    from skeeg.cli import main

    X, _ = one_person(sample)
    epochs = as_epochs(X[:1])
    epochs.info["bads"] = ["C1"]
    epochs.save(tmp_path / "mine-epo.fif", verbose="error")
    assert main(["predict", "--data", str(tmp_path / "mine-epo.fif")]) == 0
    assert "20 of 21 channels are there, C1 interpolated from the others" in capsys.readouterr().err


def test_decoders_are_compared_by_name_and_know_their_labels():
    from skeeg.evaluation import make_pipelines

    X, y, metadata = skeeg.datasets.load_motor_imagery()
    first = (metadata["subject"] == metadata["subject"].iloc[0]).to_numpy()
    pipeline = make_pipelines(["pretrained"], sfreq=X.sfreq)["pretrained"]
    people = metadata["subject"].to_numpy()
    both = people < np.unique(people)[2]
    predicted = pipeline.fit(X[both], y[both]).predict(X[both], groups=people[both])
    assert (predicted[first[both]] == pipeline.predict(X[first])).all()  # people do not mix
    with pytest.raises(ValueError, match=r"tells apart .*: call the labels so"):
        pipeline.fit(X[first], np.where(y[first] == "left_hand", "links", "rechts"))


@pytest.mark.parametrize("finetune", [False, True])
def test_a_decoder_among_pipelines_is_saved(sample, tmp_path, finetune):
    from skeeg.evaluation import make_pipelines

    X, y = one_person(sample)
    name = "pretrained+finetune" if finetune else "pretrained"
    pipeline = make_pipelines([name], sfreq=X.sfreq)[name].set_params(max_epochs=1).fit(X[:8], y[:8])
    skeeg.save(pipeline, tmp_path / "one.safetensors")
    same = skeeg.load(tmp_path / "one.safetensors")
    np.testing.assert_array_equal(same.predict_proba(X[8:16]), pipeline.predict_proba(X[8:16]))
    np.testing.assert_array_equal(
        same.fit(X[8:16], y[8:16]).predict_proba(X), clone(pipeline).fit(X[8:16], y[8:16]).predict_proba(X)
    )


def test_files_hold_no_other_decoder_among_pipelines():
    from skeeg.evaluation.pipelines import PretrainedClassifier
    from skeeg.persistence import learned

    decoder = load_pretrained("left-right-hand", verbose=False)
    hands = np.array(["left_hand", "right_hand"])
    learned.check(PretrainedClassifier, {"classes_": hands, "decoder_": decoder})
    for wrong in ({"decoder_": decoder[1:]}, {"decoder_": None}, {"classes_": np.array(["feet", "hands"])}):
        with pytest.raises(ValueError, match=r"PretrainedClassifier.decoder_ (is no decoder|has other)"):
            learned.check(PretrainedClassifier, {"classes_": hands, "decoder_": decoder} | wrong)


def test_matching_knows_the_size_of_what_it_was_fitted_to_and_refuses_no_sample(sample):
    X, _ = one_person(sample)
    match = load_pretrained("left-right-hand", verbose=False)[0]
    assert not hasattr(match, "n_features_in_")
    assert match.fit(X).n_features_in_ == X.shape[1] * X.shape[2]
    assert match.transform(X[:3, :, :600]).shape == (3, 21, 480)  # of other lengths, too
    with pytest.raises(ValueError, match=r"duration=0.001 s at 160 Hz is a window of no sample"):
        match.set_params(duration=0.001).transform(X)


@pytest.mark.parametrize("name", ["sfreq", "start", "tmin"])
def test_times_and_rates_are_finite(name):
    decoder = load_pretrained("left-right-hand", verbose=False).set_params(**{f"recording__{name}": np.inf})
    with pytest.raises(ValueError, match=f"'{name}' parameter of MatchRecording"):
        decoder[0].fit(np.zeros((2, 21, 480)))


def test_files_of_trials_keep_the_time_of_the_cue(sample, tmp_path):
    X, y = one_person(sample)
    early = EEGArray(np.concatenate([np.asarray(X)[:, :, :80][:, :, ::-1], X], axis=2), 160, X.ch_names)
    epochs = as_epochs(early, tmin=-0.5)
    epochs.events[:, 2] = 1 + (y == "right_hand")
    epochs.event_id = {"left_hand": 1, "right_hand": 2}
    epochs.save(tmp_path / "one-epo.fif", verbose="error")
    read, _, _ = skeeg.datasets.load_epochs([tmp_path / "one-epo.fif"])
    assert read.tmin == -0.5
    np.testing.assert_allclose(decode(read[:6]), decode(epochs[:6]), atol=1e-4)
    as_epochs(X).save(tmp_path / "two-epo.fif", verbose="error")
    cut = as_epochs(early, tmin=0.5)
    cut.save(tmp_path / "three-epo.fif", verbose="error")
    with pytest.raises(ValueError, match=r"begin 0.5 s after their events, those of the first file -0.5 s"):
        skeeg.datasets.load_epochs([tmp_path / "one-epo.fif", tmp_path / "three-epo.fif"])


def saved(path, X, y, tmin=0.0, **changes):
    """Write trials as Epochs of labels; `changes` are of their info."""
    epochs = as_epochs(X, tmin)
    codes = (y == "right_hand") + 1
    epochs.events = np.column_stack([np.arange(len(y)), np.zeros(len(y), int), codes])
    epochs.event_id = {"left_hand": 1, "right_hand": 2}
    epochs.info.update(changes)
    epochs.save(path, verbose="error")
    return str(path)


def test_the_command_knows_when_trials_begin_which_channels_are_bad_and_who_they_are_of(tmp_path, capsys):
    import pandas as pd

    from skeeg.cli import main

    X, y, metadata = skeeg.datasets.load_motor_imagery()
    rows = np.r_[0:12, 45:57]  # of two people
    people = metadata["subject"].to_numpy()[rows]
    X, y = X[rows], y[rows]

    def predict(*files):
        assert main(["predict", "--out", str(tmp_path / "out.csv"), "--data", *files]) == 0
        return pd.read_csv(tmp_path / "out.csv")[["p_left_hand", "p_right_hand"]].to_numpy()

    both = predict(saved(tmp_path / "both-epo.fif", X, y))
    apart = load_pretrained("left-right-hand", alignment="causal", verbose=False)
    np.savez(tmp_path / "two.npz", X=X, y=y, subject=people, sfreq=X.sfreq, ch_names=X.ch_names)
    two = predict(str(tmp_path / "two.npz"))
    for own in (people == people[0], people == people[-1]):
        np.testing.assert_allclose(two[own], apart.predict_proba(X[own]), atol=1e-5)
    assert np.abs(two[12:] - both[12:]).max() > 1e-3

    early = saved(tmp_path / "early-epo.fif", X, y, tmin=-0.5)
    np.testing.assert_allclose(predict(early), apart.predict_proba(as_epochs(X, tmin=-0.5)), atol=1e-5)

    capsys.readouterr()
    predict(saved(tmp_path / "bad-epo.fif", X, y, bads=["FC5"]))
    assert "left-right-hand-21: 20 of 21 channels are there, FC5 interpolated" in capsys.readouterr().err
    predict(saved(tmp_path / "before-epo.fif", X, y, tmin=-2))
    assert "what is decoded is -0.9 to 2.1 s" in capsys.readouterr().err
    assert len(predict(str(tmp_path / "*a*-epo.fif"))) == 2 * 24  # bad, early


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty-epo.fif", b"", "is empty"),
        ("text-epo.fif", b"hello world, this is no recording", "is "),
        ("no_names.npz", {"sfreq": 160}, "lacks ch_names"),
        ("no_rate.npz", {"ch_names": [f"C{i}" for i in range(1, 6)]}, "lacks sfreq"),
    ],
)
def test_the_command_refuses_in_one_line_what_it_cannot_decode(tmp_path, capsys, name, content, said):
    from skeeg.cli import main

    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        X = np.random.default_rng(0).standard_normal((2, 5, 500))
        np.savez(path, **({"X": X, "y": ["left_hand", "right_hand"]} | content))
    with pytest.raises(SystemExit) as stopped:
        main(["predict", "--data", str(path)])
    told = capsys.readouterr().err
    assert stopped.value.code == 2 and told.count(str(path)) == 1 and f"{name}: {said}" in told


@pytest.mark.parametrize(
    ("out", "said"), [("x.npz", "is a recording"), ("", "is a folder"), ("no/x.csv", "in none that exists")]
)
def test_the_command_looks_at_where_it_writes_before_it_works(tmp_path, capsys, out, said):
    from skeeg.cli import main

    (tmp_path / "x.npz").write_bytes(b"a recording that is not to be lost")
    with pytest.raises(SystemExit):
        main(["predict", "--data", str(tmp_path / "x.npz"), "--out", str(tmp_path / out)])
    assert said in capsys.readouterr().err
    assert (tmp_path / "x.npz").read_bytes() == b"a recording that is not to be lost"


def test_compare_decodes_the_window_after_the_cue():
    from skeeg.evaluation import compare

    X, y, metadata = skeeg.datasets.load_motor_imagery()
    rows = np.r_[0:8, 45:53]
    X, y, metadata = X[rows], y[rows], metadata.iloc[rows]

    def probabilities(pipelines, trials):
        result = compare(pipelines, trials, y, metadata, n_jobs=1, progress=False)
        return result.predictions.filter(like="proba_").to_numpy()

    epochs = as_epochs(X, tmin=-0.5)
    named = probabilities(["pretrained"], epochs)
    decoder = load_pretrained("left-right-hand", alignment="causal", verbose=False)
    expected = [decoder.predict_proba(epochs[:8]), decoder.predict_proba(epochs[8:])]
    np.testing.assert_allclose(named, np.concatenate(expected), atol=1e-5)
    assert np.abs(probabilities(["pretrained"], X) - named).max() > 1e-3
