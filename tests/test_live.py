"""From a stream to decisions: any chunking, what offline gives, gaps, artefacts, units, state."""

import io
import pickle

import numpy as np
import pytest
from scipy import signal
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from skeeg import AttentionBaseNetClassifier, EEGArray, EuclideanAlignment
from skeeg.baselines import make_csp_lda, make_fbcsp_lda, make_mdm
from skeeg.confidence import ConformalClassifier
from skeeg.datasets import load_motor_imagery, make_motor_imagery
from skeeg.live import LiveDecoder
from skeeg.live.processing import Smoothing, StreamResampler
from skeeg.preprocessing import BandPass
from skeeg.pretrained import load_pretrained

NAMES = ("FC3", "C3", "Cz", "C4", "FC4")


@pytest.fixture(scope="module")
def trials():
    X, y, _ = make_motor_imagery(1, 60, n_chans=5, difficulty=0.0, sfreq=100, duration=2.0, random_state=0)
    return EEGArray(np.asarray(X), X.sfreq, NAMES), y


@pytest.fixture(scope="module")
def stream():
    X, _, _ = make_motor_imagery(1, 12, n_chans=5, difficulty=0.0, sfreq=100, duration=2.0, random_state=1)
    return np.concatenate(np.asarray(X, dtype=np.float64), axis=1)  # (5, 2400) at 100 Hz


@pytest.fixture(scope="module")
def pipelines(trials):
    X, y = trials
    network = make_pipeline(
        BandPass(4, 38), EuclideanAlignment(), AttentionBaseNetClassifier(max_epochs=2, random_state=0)
    )
    return {
        "csp": make_csp_lda(recenter=True).fit(X, y),
        "mdm": make_mdm().fit(X, y),
        "network": network.fit(X, y),
    }


def decoder_of(pipeline, **settings):
    return LiveDecoder(pipeline, **{"sfreq": 100, "ch_names": NAMES, "step": 0.1, **settings})


def same(one, other):
    """Whether two decisions are one, to the bit."""
    return all(np.array_equal(a, b) if a is not None and b is not None else a is b or a == b
               for a, b in zip(one, other, strict=True))  # fmt: skip


def in_chunks(decoder, stream, rng, largest, stamps=None):
    decisions, start = [], 0
    while start < stream.shape[1]:
        stop = start + int(rng.integers(0, largest + 1))
        times = None if stamps is None else stamps[start:stop]
        decisions += decoder.push(stream[:, start:stop], times)
        start = stop
    return decisions


@pytest.mark.parametrize("name", ["csp", "mdm", "network"])
@pytest.mark.parametrize("smoothing", ["exponential", "evidence"])
def test_any_chunking_gives_the_same_decisions(name, smoothing, pipelines, stream):
    stream = stream.copy()
    stream[:, 500:505] = np.nan  # bridged
    stream[1, 900:960] = np.nan  # a gap
    stream[:, 1500:1520] *= 50
    stamps = np.arange(stream.shape[1]) / 100 + 7
    stamps[1300:] += 0.05  # lost, bridged
    stamps[2000:] += 3.0  # lost, a gap
    settings = {"smoothing": smoothing, "threshold": 0.6}
    whole = decoder_of(pipelines[name], **settings).push(stream, stamps)
    rng = np.random.default_rng(0)
    for largest in (3, 40, 700) if smoothing == "evidence" else (100,):
        others = in_chunks(decoder_of(pipelines[name], **settings), stream, rng, largest, stamps)
        assert len(others) == len(whole)
        assert all(same(a, b) for a, b in zip(whole, others, strict=True))
    assert sum("begins anew" in decision.said for decision in whole) == 2
    assert any("5 missing samples were bridged" in decision.said for decision in whole)
    assert any("times its usual power" in decision.said for decision in whole)
    if name == "csp":
        assert {decision.label for decision in whole} == {None, "left_hand", "right_hand"}


@pytest.mark.parametrize(("sfreq", "up", "down"), [(128, 5, 4), (250, 16, 25), (512, 5, 16)])
def test_any_chunking_of_a_stream_of_another_rate(sfreq, up, down):
    X, _, _ = load_motor_imagery([3])
    recording = signal.resample_poly(np.concatenate(np.asarray(X[:6], np.float64), axis=1), down, up, axis=1)
    decoder = load_pretrained("left-right-hand", ch_names=X.ch_names, verbose=False)
    decoders = [LiveDecoder(decoder, sfreq=sfreq, ch_names=X.ch_names, step=0.5) for _ in range(2)]
    whole = decoders[0].push(recording)
    parts = in_chunks(decoders[1], recording, np.random.default_rng(1), 300)
    assert len(whole) > 10
    assert all(same(a, b) for a, b in zip(whole, parts, strict=True))
    assert decoders[0].delay_ == pytest.approx(10 * max(up, down) / up / sfreq)


@pytest.mark.parametrize("name", ["csp", "network"])
def test_windows_are_decoded_as_offline(name, pipelines, stream):
    """Filter the whole recording, cut it, align by what came before, predict: the same numbers to the bit."""
    pipeline = pipelines[name]
    decisions = decoder_of(pipeline, smoothing=None, artefact_ratio=None).push(stream)

    bandpass, alignment, *others = (step for _, step in pipeline.steps)
    start = signal.sosfilt_zi(bandpass.sos_)[:, None] * stream[None, :, :1]
    filtered = signal.sosfilt(bandpass.sos_, stream, zi=start)[0].astype(np.float32)
    alignment = pickle.loads(pickle.dumps(alignment)).set_params(mode="causal")
    windows = [filtered[None, :, end - 200 : end] for end in range(200, 2401, 10)]
    assert len(decisions) == len(windows)
    for i, (window, decision) in enumerate(zip(windows, decisions, strict=True)):
        aligned = alignment.transform(window)
        if i % 20 == 0:  # windows that do not overlap
            alignment.partial_fit(window)
        for step in others[:-1]:
            aligned = step.transform(aligned)
        expected = others[-1].predict_proba(aligned)[0].astype(np.float64)
        assert np.array_equal(decision.of_window, expected)
        assert decision.time == (200 + 10 * i) / 100
        assert decision.said == ""


def test_a_decoder_of_the_wheel_is_its_network_on_what_a_forward_filter_leaves():
    X, _, _ = load_motor_imagery([7])
    recording = np.concatenate(np.asarray(X[:3], np.float64), axis=1)[:, :1280]
    pipeline = load_pretrained("left-right-hand", ch_names=X.ch_names, verbose=False)
    decisions = LiveDecoder(pipeline, sfreq=160, ch_names=X.ch_names, step=0.5, smoothing=None).push(
        recording
    )
    sos = signal.butter(4, [4, 38], "bandpass", output="sos", fs=160)
    filtered = signal.sosfilt(sos, recording, zi=signal.sosfilt_zi(sos)[:, None] * recording[None, :, :1])[0]
    _, alignment, network = (step for _, step in pipeline.steps)
    alignment.set_params(mode="causal")
    for end, decision in zip(range(480, 1281, 80), decisions, strict=True):
        window = filtered[None, :, end - 480 : end].astype(np.float32)
        assert np.array_equal(network.predict_proba(alignment.transform(window))[0], decision.of_window)
        if end in (480, 960):
            alignment.partial_fit(window)


def test_resampling_is_scipys_polyphase_filter():
    x = np.random.default_rng(0).standard_normal((2, 1000))
    resampler = StreamResampler(16, 25)
    taps = 16 * signal.firwin(2 * 250 + 1, 1 / 25, window=("kaiser", 5.0))
    expected = signal.upfirdn(taps, x, 16, 25)[:, :640]
    got, n_in = [], 0
    for n_out in (300, 301, 333, 640):
        needed = resampler.needed(n_out)
        got.append(resampler(x[:, n_in:needed], n_in, n_out))
        n_in = needed
    got = np.concatenate(got, axis=1)
    assert got.shape == expected.shape
    np.testing.assert_allclose(got[:, 30:], expected[:, 30:], atol=1e-12)  # before, the past differs
    assert StreamResampler(3, 1).needed(481) == 161


def test_smoothing_is_what_it_says():
    windows = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    fading = np.exp(-0.5 / 2.0)
    smoothing = Smoothing("exponential", 0.5, 2.0, 2.0)
    by_hand = windows[0]
    for window in windows:
        by_hand = fading * by_hand + (1 - fading) * window
        np.testing.assert_allclose(smoothing(window), by_hand)
    smoothing, evidence = Smoothing("evidence", 0.5, 2.0, 2.0), 0.0
    for window in windows:
        evidence = fading * evidence + 0.25 * np.log(window)
        np.testing.assert_allclose(smoothing(window), np.exp(evidence) / np.exp(evidence).sum())


def test_after_a_gap_everything_begins_anew_but_the_person(pipelines, stream):
    broken = stream.copy()
    broken[:, 1000:1100] = np.nan
    settings = {"artefact_ratio": None, "alignment": None}
    decisions = decoder_of(pipelines["mdm"], **settings).push(broken)
    gap = next(i for i, decision in enumerate(decisions) if "anew" in decision.said)
    assert decisions[gap].said == (
        "over 0.1 s of samples are missing: the decoder begins anew, 2 s after they go on"
    )
    fresh = decoder_of(pipelines["mdm"], **settings).push(stream[:, 1100:])
    for late, early in zip(decisions[gap + 1 :], fresh, strict=True):
        assert late.time == pytest.approx(early.time + 11)
        assert np.array_equal(late.probabilities, early.probabilities)

    aligned = decoder_of(pipelines["csp"])
    aligned.push(broken)
    (alignment,) = aligned._alignments
    # windows that do not overlap: 5 before the gap; of the 13 s after it 6, in step with the first
    assert alignment.seen_[None][0] == 5 + 6


def test_samples_that_are_lost_by_their_stamps(pipelines, stream):
    stamps = np.arange(2400) / 100
    jitter = np.random.default_rng(0).uniform(0, 0.009, 2400)
    calm = decoder_of(pipelines["csp"]).push(stream, stamps + jitter)
    plain = decoder_of(pipelines["csp"]).push(stream)
    assert [decision.label for decision in calm] == [decision.label for decision in plain]
    assert calm[0].stamp == pytest.approx(1.99 + jitter[199])
    assert plain[0].stamp is None
    kept = np.r_[0:1000, 1300:2400]
    late = decoder_of(pipelines["csp"]).push(stream[:, kept], stamps[kept])
    assert sum("begins anew" in decision.said for decision in late) == 1
    assert late[-1].time == plain[-1].time == 24.0


def test_artefacts_are_left_out_and_said(pipelines, stream):
    loud = stream.copy()
    loud[1, 1500:1530] += 2000 * np.sin(2 * np.pi * 12 * np.arange(30) / 100)
    decisions = decoder_of(pipelines["csp"]).push(loud)
    out = [decision for decision in decisions if decision.probabilities is None]
    assert out
    assert all(decision.said.startswith("left out: C3 has ") and decision.label is None for decision in out)
    assert 15.0 <= out[0].time <= 15.3 and 17.2 <= out[-1].time <= 17.7
    assert not any(d.said for d in decoder_of(pipelines["csp"], artefact_ratio=None).push(loud))

    dead = stream.copy()
    dead[2, 1500:] = 0
    said = [d.said for d in decoder_of(pipelines["mdm"], artefact_ratio=10.0).push(dead)]
    assert "left out: Cz went flat" in said
    silent = decoder_of(pipelines["mdm"]).push(np.zeros((5, 300)))
    assert {d.said for d in silent} == {"left out: all channels are flat"}


def test_another_unit_is_said_and_left_out(pipelines, stream):
    plain = decoder_of(pipelines["csp"]).push(stream)
    volts = decoder_of(pipelines["csp"]).push(stream * 1e-6)
    assert all(d.probabilities is None and "unit='µV' seems wrong" in d.said for d in volts)
    right = decoder_of(pipelines["csp"], unit="V").push(stream * 1e-6)
    assert [d.label for d in right] == [d.label for d in plain]
    unknown = decoder_of(pipelines["csp"], unit=None).push(stream * 1e-6)  # alignment takes the gain away
    assert [d.label for d in unknown] == [d.label for d in plain]


def test_channels_are_picked_by_name(pipelines, stream):
    plain = decoder_of(pipelines["csp"]).push(stream)
    order = [4, 2, 0, 3, 1]
    names = ["AUX", *[f"EEG {NAMES[i]}-Ref" for i in order]]
    other = np.concatenate([np.full((1, 2400), np.nan), stream[order]])  # what is not read may be broken
    for a, b in zip(plain, decoder_of(pipelines["csp"], ch_names=names).push(other), strict=True):
        assert same(a, b)


def test_what_is_missing_is_interpolated_as_in_matching():
    X, _, _ = load_motor_imagery([3])
    recording = np.concatenate(np.asarray(X[:4], np.float64), axis=1)
    there = [i for i, name in enumerate(X.ch_names) if name not in ("FC1", "CP2")]
    names = [X.ch_names[i] for i in there]
    pipeline = load_pretrained("left-right-hand", ch_names=names, verbose=False)
    got = LiveDecoder(pipeline, sfreq=160, ch_names=names).push(recording[there])
    matrix = pipeline[0].channel_map(names).astype(np.float64)
    assert matrix.shape == (21, 19)
    whole = LiveDecoder(
        load_pretrained("left-right-hand", verbose=False), sfreq=160, ch_names=X.ch_names
    ).push(matrix @ recording[there])
    for a, b in zip(got, whole, strict=True):
        np.testing.assert_allclose(a.probabilities, b.probabilities, atol=1e-4)


@pytest.mark.parametrize("name", ["csp", "network"])
@pytest.mark.parametrize("moment", [0, 133, 905, 1004, 1177])
def test_a_state_goes_on_where_it_was(name, moment, pipelines, stream):
    broken = stream.copy()
    broken[:, 900:1010] = np.nan
    pipeline = pipelines[name]
    settings = {"smoothing": "evidence"}
    whole = decoder_of(pipeline, **settings).push(broken)
    first = decoder_of(pipeline, **settings)
    decisions = first.push(broken[:, :moment])
    file = io.BytesIO()
    np.savez(file, **first.state())
    file.seek(0)
    second = decoder_of(pipeline, **settings).restore(np.load(file))
    decisions += second.push(broken[:, moment:])
    assert all(same(a, b) for a, b in zip(whole, decisions, strict=True))
    other = decoder_of(pipeline, **settings)
    other.push(stream)  # what it remembers goes
    again = other.restore(first.state()).push(broken[:, moment:])
    assert all(same(a, b) for a, b in zip(reversed(whole), reversed(again), strict=False))


def test_a_state_of_another_decoder_or_damaged_is_refused(pipelines, stream):
    decoder = decoder_of(pipelines["csp"])
    with pytest.raises(ValueError, match="of another pipeline, stream or window"):
        decoder.restore(decoder_of(pipelines["csp"], step=0.2).state())
    with pytest.raises(ValueError, match="no state of a LiveDecoder"):
        decoder.restore({"window": np.zeros(3)})
    decoder.push(stream[:, :450])
    before = decoder.state()
    for name, value in (
        ("window", np.zeros((5, 3))),
        ("filter", np.full((4, 5, 2), np.nan)),
        ("counts", [1]),
    ):
        with pytest.raises(ValueError, match=f"the state is damaged: .*{name}"):
            decoder.restore(before | {name: np.array(value)})
    assert all(np.array_equal(value, before[name]) for name, value in decoder.state().items())
    resampled = LiveDecoder(
        load_pretrained("left-right-hand", verbose=False),
        sfreq=250,
        ch_names=load_motor_imagery([3])[0].ch_names,
    )
    assert resampled.restore(resampled.state()) is resampled


def test_the_pipeline_stays_as_it_is(pipelines, stream, trials):
    before = pipelines["csp"].predict_proba(trials[0][:3])
    decoder = decoder_of(pipelines["csp"])
    decoder.push(stream)
    assert pipelines["csp"]["euclideanalignment"].seen_ == {}
    assert pipelines["csp"]["euclideanalignment"].mode == "batch"
    assert np.array_equal(before, pipelines["csp"].predict_proba(trials[0][:3]))
    copied = pickle.loads(pickle.dumps(decoder))
    for a, b in zip(copied.push(stream), decoder.push(stream), strict=True):
        assert same(a, b)


def test_a_window_that_fails_does_not_end_the_stream(trials, stream):
    class Fails(AttentionBaseNetClassifier):
        def predict_proba(self, X):
            if self.calls < 3:
                self.calls += 1
                raise ValueError("this window has no covariance. Drop it")
            return super().predict_proba(X)

    network = Fails(max_epochs=1, random_state=0).fit(*trials)
    network.calls = 0
    decisions = decoder_of(network).push(stream)
    assert [d.said for d in decisions[:4]] == ["left out: this window has no covariance"] * 3 + [""]


def test_a_class_of_rest_decides_nothing(pipelines, stream):
    labels = {d.label for d in decoder_of(pipelines["csp"], threshold=0.6).push(stream)}
    assert labels == {None, "left_hand", "right_hand"}
    calm = decoder_of(pipelines["csp"], threshold=0.6, rest="left_hand").push(stream)
    assert {d.label for d in calm} == {None, "right_hand"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sfreq": 250}, "the stream has 250 Hz, and the pipeline was trained at 100 Hz"),
        ({"ch_names": ["C3", "Cz", "C4", "O1", "O2"]}, r"lacks the channels \['FC3', 'FC4'\]"),
        ({"ch_names": None}, "give ch_names of the stream, or n_chans"),
        ({"ch_names": None, "n_chans": 7}, "needs the channels"),
        ({"ch_names": "C3"}, "must be an array-like"),
        ({"n_chans": 3}, "n_chans=3, but ch_names has 5"),
        ({"band": (8, 30)}, "has a filter of its own, 8.0-30.0 Hz"),
        ({"window": 1.0}, "is 100 samples, and the pipeline was trained on 200"),
        ({"step": 0.001}, "less than a sample"),
        ({"rest": "feet"}, "none of the classes"),
        ({"threshold": 2}, "threshold"),
        ({"unit": "volts"}, "unit"),
    ],
)
def test_what_the_stream_lacks_is_said_before_it_begins(settings, message, pipelines):
    with pytest.raises(ValueError, match=message):
        decoder_of(pipelines["csp"], **settings)


def test_classifiers_without_probabilities_or_windows(trials):
    from pyriemann.estimation import Covariances
    from pyriemann.tangentspace import TangentSpace
    from sklearn.linear_model import LogisticRegression

    X, y = np.asarray(trials[0]), trials[1]
    with pytest.raises(ValueError, match="LinearSVC has no predict_proba"):
        decoder_of(make_pipeline(Covariances(), TangentSpace(), LinearSVC()).fit(X, y))
    foreign = make_pipeline(Covariances(), TangentSpace(), LogisticRegression()).fit(X, y)
    with pytest.raises(ValueError, match="give window, in seconds"):
        decoder_of(foreign)
    with pytest.raises(ValueError, match="holds no band"):
        decoder_of(foreign, window=2.0, band=(8, 60))
    decisions = decoder_of(foreign, window=2.0, band=(8, 30)).push(np.concatenate(X[:3], axis=1))
    assert len(decisions) == 41


def test_pipelines_within_other_estimators(pipelines, trials, stream):
    X, y = trials
    plain = decoder_of(pipelines["csp"]).push(stream)
    search = GridSearchCV(make_csp_lda(recenter=True), {"lda__tol": [1e-4]}, cv=2).fit(X, y)
    for wrapped in (FrozenEstimator(pipelines["csp"]), search):
        assert all(same(a, b) for a, b in zip(plain, decoder_of(wrapped).push(stream), strict=True))

    calibrated = CalibratedClassifierCV(make_csp_lda(recenter=True), cv=3, ensemble=False).fit(X, y)
    decisions = decoder_of(calibrated).push(stream)
    calibrator = calibrated.calibrated_classifiers_[0].calibrators[0]
    pipeline = calibrated.calibrated_classifiers_[0].estimator
    log_odds = [np.log(d.of_window[1] / d.of_window[0]) for d in decoder_of(pipeline).push(stream)]
    expected = calibrator.predict(np.array(log_odds))
    np.testing.assert_allclose([d.of_window[1] for d in decisions], expected, rtol=1e-6)
    with pytest.raises(ValueError, match="averages several pipelines"):
        decoder_of(CalibratedClassifierCV(make_csp_lda(), cv=2).fit(X, y))


def test_a_union_of_bands_knows_its_recordings(trials, stream):
    union = make_fbcsp_lda(bands=[(8, 13), (16, 26)]).fit(*trials)
    assert len(decoder_of(union, step=0.5).push(stream)) == 45
    for settings, message in (({"sfreq": 250}, "trained at 100 Hz"), ({"ch_names": list("abcde")}, "lacks")):
        with pytest.raises(ValueError, match=message):
            decoder_of(union, **settings)


def test_alignments_within_a_union_follow_the_stream(trials, stream):
    union = make_fbcsp_lda(bands=[(8, 13), (16, 26)], recenter=True).fit(*trials)
    decisions = decoder_of(union, smoothing=None, artefact_ratio=None).push(stream)
    offline = pickle.loads(pickle.dumps(union))
    branches = [branch["euclideanalignment"] for _, branch in offline[0].transformer_list]
    for alignment in branches:
        alignment.set_params(mode="causal")
    for i, decision in enumerate(decisions):
        for alignment in branches:
            alignment.update = i % 20 == 0  # windows that do not overlap
        window = stream[None, :, 10 * i : 10 * i + 200].astype(np.float32)
        np.testing.assert_array_equal(decision.of_window, offline.predict_proba(window)[0])
    assert len(decisions) == 221 and branches[0].seen_[None][0] == 12

    state = decoder_of(union)
    state.push(stream[:, :900])
    other = decoder_of(union).restore(state.state())
    rest = zip(state.push(stream[:, 900:]), other.push(stream[:, 900:]), strict=True)
    assert all(same(a, b) for a, b in rest)


def test_alignments_that_cannot_follow_are_refused(trials):
    hidden = ConformalClassifier(make_csp_lda(recenter=True), random_state=0).fit(*trials)
    with pytest.raises(ValueError, match="ConformalClassifier holds an alignment of its own"):
        decoder_of(hidden, window=2.0)
    assert decoder_of(hidden, window=2.0, alignment=None).n_times_ == 200


@pytest.mark.parametrize(
    ("samples", "stamps", "message"),
    [
        (np.zeros((30, 5)), None, r"give \(n_chans, n_samples\), samples.T"),
        (np.zeros(5), None, "the stream has 5 channels"),
        ([["a"] * 3] * 5, None, "are no numbers"),
        (np.zeros((5, 3)), [0, 1], "3 samples came with timestamps of shape"),
        (np.zeros((5, 3)), [3, 2, 1], "run backwards"),
        (np.zeros((5, 3)), [3, np.nan, 4], "run backwards, or are not finite"),
    ],
)
def test_samples_that_cannot_be(samples, stamps, message, pipelines, stream):
    decoder = decoder_of(pipelines["csp"])
    with pytest.raises(ValueError, match=message):
        decoder.push(samples, stamps)
    for a, b in zip(decoder.push(stream), decoder_of(pipelines["csp"]).push(stream), strict=True):
        assert same(a, b)
