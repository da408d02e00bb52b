"""MOABB's fake data set with something in it: a rhythm of 11 Hz that is louder on one side."""

import numpy as np
from moabb.datasets.fake import FakeDataset

CHANNELS = ("C3", "Cz", "C4", "CP3", "CPz", "CP4")
SIDES = {"left_hand": (2, 5), "right_hand": (0, 3)}  # where the rhythm is


class SignalDataset(FakeDataset):
    """Left against right hand, three people of two sessions, each with a mixture of channels of their own."""

    def __init__(self, n_subjects=3, n_sessions=2, n_events=16, amplitude=2e-5):
        self.amplitude = amplitude
        super().__init__(
            list(SIDES),
            n_sessions=n_sessions,
            n_runs=1,
            n_subjects=n_subjects,
            channels=CHANNELS,
            sfreq=100,
            duration=4 * n_events,
            n_events=n_events,
            seed=0,
            code="SignalDataset",
        )

    def _get_single_subject_data(self, subject):
        data = super()._get_single_subject_data(subject)
        rng = np.random.default_rng(subject)
        mixture = np.eye(len(CHANNELS)) + 0.3 * rng.standard_normal((len(CHANNELS),) * 2)
        names = {code: name for name, code in self.event_id.items()}
        for runs in data.values():
            for raw in runs.values():
                eeg = raw._data[: len(CHANNELS)]
                for onset in np.flatnonzero(raw._data[-1]):
                    times = np.arange(3 * self.sfreq) / self.sfreq
                    wave = self.amplitude * np.sin(2 * np.pi * (11 * times + rng.random()))
                    for channel in SIDES[names[int(raw._data[-1, onset])]]:
                        eeg[channel, onset : onset + len(wave)] += wave
                raw._data[: len(CHANNELS)] = mixture @ eeg
        return data
