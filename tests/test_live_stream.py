"""`skeeg live`: recordings replayed, Lab Streaming Layer over loopback, streams that stall, vanish or lie."""

import csv
import sys
import threading
import time
import uuid

import mne
import numpy as np
import pytest

from skeeg import save
from skeeg.baselines import make_csp_lda
from skeeg.cli import main
from skeeg.datasets import load_motor_imagery
from skeeg.live import LiveDecoder
from skeeg.live.lsl import LSLOutlet, LSLSource, follow
from skeeg.pretrained import load_pretrained


@pytest.fixture(scope="module")
def raw():
    """Trials of a real person, one after the other as if they were a recording of 30 s."""
    X, _, _ = load_motor_imagery([3])
    info = mne.create_info(list(X.ch_names), X.sfreq, "eeg")
    samples = np.concatenate(np.asarray(X[:8], np.float64), axis=1)[:, :4800]
    return mne.io.RawArray(samples * 1e-6, info, verbose="error")


@pytest.fixture(scope="module")
def expected(raw):
    return decoder_of(raw).push(raw.get_data())


def decoder_of(raw):
    pipeline = load_pretrained("left-right-hand", ch_names=raw.ch_names, verbose=False)
    return LiveDecoder(pipeline, sfreq=160, ch_names=raw.ch_names, unit="V")


def columns(path):
    with open(path, encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_recording_is_replayed(raw, expected, tmp_path, capsys):
    path = tmp_path / "one_raw.fif"
    raw.save(path, fmt="double", verbose="error")
    assert main(["live", "--replay", str(path), "--out", str(tmp_path / "live.csv")]) == 0
    rows = columns(tmp_path / "live.csv")
    assert len(rows) == len(expected) == 271
    for row, decision in zip(rows, expected, strict=True):
        assert float(row["time"]) == pytest.approx(decision.time, abs=6e-4)
        assert row["label"] == (decision.label or "")
        assert float(row["p_left_hand"]) == pytest.approx(decision.probabilities[0], abs=6e-5)
    assert "21 channels at 160 Hz in V; windows of 3 s" in capsys.readouterr().err
    assert main(["live", "--replay", str(path), "--seconds", "4", "--step", "0.5"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "time,label,p_left_hand,p_right_hand,said"
    assert len(printed) == 1 + 3


def test_a_saved_pipeline_is_replayed(raw, tmp_path, capsys):
    X, y, _ = load_motor_imagery([3])
    pipeline = make_csp_lda(recenter=True).fit(X, y)
    save(pipeline, tmp_path / "own.safetensors")
    raw.save(tmp_path / "one_raw.fif", fmt="double", verbose="error")
    model = ["--model", str(tmp_path / "own.safetensors"), "--smoothing", "evidence", "--threshold", "0.55"]
    assert main(["live", "--replay", str(tmp_path / "one_raw.fif"), *model]) == 0
    labels = [line.split(",")[1] for line in capsys.readouterr().out.splitlines()[1:]]
    settings = {"smoothing": "evidence", "threshold": 0.55, "unit": "V"}
    decoder = LiveDecoder(pipeline, sfreq=160, ch_names=raw.ch_names, **settings)
    assert labels == [decision.label or "" for decision in decoder.push(raw.get_data())]
    assert {"", "left_hand"} <= set(labels)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "one of the arguments --stream --replay is required"),
        (["--replay", "nowhere.edf"], "nowhere.edf"),
        (["--replay", "one_raw.fif", "--model", "feet"], "no decoder is called 'feet'"),
        (["--replay", "one_raw.fif", "--threshold", "7"], "threshold"),
        (["--replay", "one_raw.fif", "--rest", "tongue"], "none of the classes"),
        (["--replay", "one_raw.fif", "--out", "no/where.csv"], "argument --out"),
    ],
)
def test_what_cannot_be_decoded_gets_one_line(arguments, message, raw, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    raw.save("one_raw.fif", verbose="error")
    with pytest.raises(SystemExit) as ended:
        main(["live", *arguments])
    assert ended.value.code == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len([line for line in error if not line.startswith("note")]) == 1
    assert message in error[-1]


class Source:
    """Samples that come as a test says: arrays of (n_chans, n), or seconds of silence."""

    def __init__(self, sfreq, parts, rate=None):
        self.sfreq, self.parts = sfreq, list(parts)
        self.rate, self.next = rate or sfreq, 100.0
        self.until = 0.0

    def pull(self):
        if time.monotonic() >= self.until and self.parts:
            part = self.parts.pop(0)
            if isinstance(part, np.ndarray):
                stamps = self.next + np.arange(part.shape[1]) / self.rate
                self.next = stamps[-1] + 1 / self.rate
                return part, stamps
            self.until = time.monotonic() + part
            self.next += part
        return np.zeros((21, 0)), np.zeros(0)


def test_a_stream_that_stalls_and_one_that_is_gone_are_said(raw):
    samples = raw.get_data()
    source = Source(160, [samples[:, :800], 0.3, samples[:, 800:1600]])
    decisions = list(follow(decoder_of(raw), source, stalled=0.05, give_up=0.6))
    said = [decision.said for decision in decisions if decision.said]
    assert said == [
        "no samples for 0.05 s: waiting up to 0.6 s for the stream to go on",
        "16 missing samples were bridged",
        "over 0.1 s of samples are missing: the decoder begins anew, 3 s after they go on",
        "no samples for 0.05 s: waiting up to 0.6 s for the stream to go on",
        "the stream is gone: no samples for 0.6 s",
    ]
    assert len(decisions) == 4 + 2 * 21 + 1


def test_a_stream_of_another_rate_than_it_says_is_said(raw):
    samples = raw.get_data()
    parts = np.array_split(samples[:, :1600], 10, axis=1)
    said = {d.said for d in follow(decoder_of(raw), Source(160, parts, rate=128), seconds=12) if d.said}
    assert said == {"128 samples come a second, and the stream says 160"}
    assert not [d for d in follow(decoder_of(raw), Source(160, parts), seconds=9.9) if d.said]


# ----- Lab Streaming Layer ----------------------------------------------------------------------------


@pytest.fixture
def lsl():
    return pytest.importorskip("mne_lsl.lsl", reason="mne-lsl is not installed: pip install 'skeeg[live]'")


def outlet_of(lsl, raw, name, units="microvolts"):
    info = lsl.StreamInfo(name, "EEG", 21, 160, "float64", uuid.uuid4().hex)
    info.set_channel_names(raw.ch_names)
    info.set_channel_units([units] * 21)
    return lsl.StreamOutlet(info)


def test_a_stream_is_decoded_as_its_recording(lsl, raw, expected):
    """All samples at once, with their stamps; 2 s of them are lost; decisions go out as a stream."""
    name = f"amplifier-{uuid.uuid4().hex[:8]}"
    amplifier = outlet_of(lsl, raw, name)
    source = LSLSource(name)
    assert (source.sfreq, source.ch_names, source.unit) == (160.0, raw.ch_names, "µV")
    published = LSLOutlet(f"{name}-decisions", ["left_hand", "right_hand"])
    inlet = lsl.StreamInlet(lsl.resolve_streams(timeout=5, name=f"{name}-decisions")[0])
    inlet.open_stream(timeout=5)
    assert inlet.get_sinfo().get_channel_names() == ["label", "p_left_hand", "p_right_hand"]

    decoder = LiveDecoder(
        load_pretrained("left-right-hand", ch_names=raw.ch_names, verbose=False),
        sfreq=160,
        ch_names=raw.ch_names,
    )
    samples = raw.get_data() * 1e6
    begin = lsl.local_clock()
    for first, stop in ((0, 1000), (1000, 2000), (2320, 4320)):
        amplifier.push_chunk(samples[:, first:stop].T.copy(), timestamp=begin + (stop - 1) / 160)
    decisions = []
    for decision in follow(decoder, source, seconds=26.9, stalled=5):
        published.push(decision)
        decisions.append(decision)
    source.close()
    (gap,) = (i for i, decision in enumerate(decisions) if "begins anew" in decision.said)
    before = [decision for decision in expected if decision.time <= 2000 / 160]
    assert gap == len(before) + 1  # a window with bridged samples
    for decision, offline in zip(decisions, before, strict=False):
        np.testing.assert_allclose(decision.probabilities, offline.probabilities, atol=1e-5)  # V x 1e6
        assert decision.stamp == pytest.approx(begin + decision.time - 1 / 160, abs=1e-3)
    assert decisions[-1].time == 27.0

    time.sleep(0.2)
    sent, stamps = inlet.pull_chunk(timeout=1)
    made = [decision for decision in decisions if decision.stamp is not None]
    assert len(sent) == len(made)
    np.testing.assert_allclose(sent[:, 1:], [decision.probabilities for decision in made], rtol=1e-6)
    labels = [-1 if d.label is None else ["left_hand", "right_hand"].index(d.label) for d in made]
    assert sent[:, 0].tolist() == labels
    np.testing.assert_allclose(stamps, [decision.stamp for decision in made])


def test_a_player_is_decoded_end_to_end_until_it_is_gone(lsl, raw, tmp_path, capsys):
    """MNE-LSL's player replays a real recording in real time; the command decodes it, and ends with it."""
    player_module = pytest.importorskip("mne_lsl.player")
    name = f"player-{uuid.uuid4().hex[:8]}"
    player = player_module.PlayerLSL(raw, chunk_size=16, n_repeat=1, name=name, source_id=name)
    with player:
        threading.Timer(6.0, player.stop).start()
        arguments = ["--stream", name, "--give-up", "0.5", "--out", str(tmp_path / "live.csv")]
        assert main(["live", *arguments]) == 0
    rows = columns(tmp_path / "live.csv")
    decoded = [row for row in rows if row["p_left_hand"]][:8]
    assert len(decoded) == 8
    assert rows[-1]["said"] == "the stream is gone: no samples for 0.5 s"
    probabilities = np.array([float(row["p_left_hand"]) for row in decoded])
    # which chunk the command heard first is not known: one of them it was
    differences = []
    for first in range(0, 960, 16):
        offline = decoder_of(raw).push(raw.get_data()[:, first : first + 480 + 7 * 16])
        offline = np.array([decision.probabilities[0] for decision in offline])
        differences.append(np.abs(offline - probabilities).max())
    assert min(differences) < 1e-4 < np.median(differences)


def test_streams_that_cannot_be_decoded(lsl, raw):
    with pytest.raises(ValueError, match="no LSL stream is called 'nobody'"):
        LSLSource("nobody", timeout=0.5)
    name = f"markers-{uuid.uuid4().hex[:8]}"
    markers = lsl.StreamOutlet(lsl.StreamInfo(name, "Markers", 1, 0, "string", name))
    with pytest.raises(ValueError, match="has no sampling rate"):
        LSLSource(name)
    del markers
    other = f"nameless-{uuid.uuid4().hex[:8]}"
    nameless = lsl.StreamOutlet(lsl.StreamInfo(other, "EEG", 3, 100, "float32", other))
    with pytest.raises(ValueError, match="does not name its channels"):
        LSLSource(other)
    del nameless


def test_without_mne_lsl_the_way_to_it_is_said(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "mne_lsl", None)
    with pytest.raises(SystemExit):
        main(["live", "--stream", "amplifier"])
    assert "pip install 'skeeg[live]'" in capsys.readouterr().err
