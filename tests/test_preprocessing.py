"""Transformers: numbers against independent formulas, Epochs, groups, what they refuse."""

import pickle
import tracemalloc

import mne
import numpy as np
import pytest
import sklearn
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import signal
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skeeg import EEGArray
from skeeg.modules.layers.filter_bank import FilterBankDesign
from skeeg.preprocessing import (
    BandPass,
    Crop,
    EuclideanAlignment,
    ExponentialMovingStandardizer,
    FilterBank,
    Resampler,
    RiemannianAlignment,
    Scaler,
)

rng = np.random.default_rng(0)
SFREQ = 100.0
TRANSFORMERS = [
    Scaler(),
    Scaler("robust"),
    EuclideanAlignment(),
    EuclideanAlignment(mode="single"),
    RiemannianAlignment(),
    BandPass(sfreq=SFREQ),
    Resampler(50.0, sfreq=SFREQ),
    Crop(0.5, 1.0, sfreq=SFREQ),
    ExponentialMovingStandardizer(),
    FilterBank(2, sfreq=SFREQ),
]
all_transformers = pytest.mark.parametrize("transformer", TRANSFORMERS, ids=lambda t: str(t).split("(")[0])


@pytest.fixture
def X():
    return 10 * rng.standard_normal((12, 3, 200)) + np.array([[[0.0], [40.0], [-3.0]]])


@pytest.fixture
def epochs():
    info = mne.create_info(["C3", "Cz", "C4", "EOG"], SFREQ, ["eeg"] * 3 + ["eog"])
    events = np.column_stack([np.arange(12), np.zeros(12, int), np.arange(12) % 2 + 1])
    data = 1e-5 * rng.standard_normal((12, 4, 200))
    return mne.EpochsArray(data, info, events, event_id={"left": 1, "right": 2}, verbose="error")


# What holds for all --------------------------------------------------------------------------------------


@all_transformers
def test_epochs_become_an_array_in_microvolts_that_knows_them(transformer, epochs):
    fresh = clone(transformer).set_params(**{"sfreq": None} if hasattr(transformer, "sfreq") else {})
    result = fresh.fit(epochs).transform(epochs)
    array = 1e6 * epochs.get_data(picks="eeg")
    assert_allclose(np.asarray(result), clone(transformer).fit_transform(array), rtol=1e-6, atol=1e-9)
    if result.ndim == 3:
        assert result.ch_names == ("C3", "Cz", "C4")
        assert result.sfreq == (50.0 if isinstance(transformer, Resampler) else SFREQ)
        assert result.labels.tolist() == ["left", "right"] * 6


@all_transformers
def test_plain_arrays_stay_plain_and_keep_their_type(transformer, X):
    for dtype in (np.float32, np.float64):
        before = X.astype(dtype)
        data = before.copy()
        result = clone(transformer).fit_transform(data)
        assert type(result) is np.ndarray and result.dtype == dtype
        assert_array_equal(data, before)
        assert not np.shares_memory(result, data)
    reference = clone(transformer).fit_transform(X)
    assert_allclose(clone(transformer).fit_transform(X.astype(np.float32)), reference, rtol=1e-3, atol=2e-4)
    assert_array_equal(clone(transformer).fit_transform(X.tolist()), reference)
    assert_array_equal(clone(transformer).fit_transform(torch.from_numpy(X)), reference)


@all_transformers
def test_a_trial_does_not_depend_on_those_beside_it(transformer, X):
    fitted = clone(transformer).fit(X)
    alone = np.concatenate([fitted.transform(X[[i]]) for i in range(len(X))])
    assert_allclose(alone, fitted.transform(X), rtol=1e-12, atol=1e-12)


@all_transformers
def test_fits_start_afresh_and_survive_pickling(transformer, X):
    fitted = clone(transformer).fit(X)
    parameters = fitted.get_params()
    assert_array_equal(pickle.loads(pickle.dumps(fitted)).transform(X), fitted.transform(X))
    other = 3 * rng.standard_normal((5, 2, 200))
    assert_array_equal(fitted.fit(other).transform(other), clone(transformer).fit(other).transform(other))
    assert fitted.n_chans_ == 2 and fitted.get_params() == parameters


@all_transformers
def test_bad_input_is_refused_and_leaves_the_fit_as_it_was(transformer, X):
    with pytest.raises(NotFittedError):
        clone(transformer).transform(X)
    fitted = clone(transformer).fit(X)
    before = fitted.transform(X)
    with pytest.raises(ValueError, match="trials of 2 channels x 200 samples were given, fit saw 3 x 200"):
        fitted.transform(X[:, :2])
    with pytest.raises(ValueError, match="NaN"):
        fitted.fit(np.full_like(X, np.nan))
    with pytest.raises(ValueError, match="2-dimensional"):
        fitted.fit(X[0])
    assert_array_equal(fitted.transform(X), before)


@all_transformers
def test_channels_are_put_in_the_order_of_fit_by_name(transformer, X):
    data = EEGArray(X, SFREQ, ["C3", "Cz", "C4"])
    fitted = clone(transformer).fit(data)
    assert_array_equal(np.asarray(fitted.transform(data[:, [2, 0, 1]])), np.asarray(fitted.transform(data)))
    with pytest.raises(ValueError, match=r"\['C4'\] are missing, \['Pz'\] are unknown"):
        fitted.transform(EEGArray(X, SFREQ, ["C3", "Cz", "Pz"]))


@all_transformers
def test_three_dimensions_are_announced_and_pandas_output_changes_nothing(transformer, X):
    assert sklearn.utils.get_tags(transformer).input_tags.three_d_array
    with sklearn.config_context(transform_output="pandas"):
        assert type(clone(transformer).fit_transform(X)) is np.ndarray


@pytest.mark.parametrize(
    ("transformer", "message"),
    [
        (Scaler("minmax"), "'method' parameter of Scaler must be a str among"),
        (EuclideanAlignment(0), "'min_trials' parameter of EuclideanAlignment"),
        (BandPass(order=0, sfreq=SFREQ), "'order' parameter of BandPass"),
        (BandPass(30, 8, SFREQ), "low=30, high=8 is no band"),
        (BandPass(8, 60, SFREQ), r"low=8, high=60 is no band .* < 50\.0 Hz"),
        (BandPass(None, None, SFREQ), "is no band"),
        (BandPass(), "BandPass needs the sampling rate"),
        (Resampler(-1), "'new_sfreq' parameter of Resampler"),
        (Resampler(np.inf), "'new_sfreq' parameter of Resampler"),
        (Resampler(0.01, SFREQ), r"new_sfreq=0\.01 Hz of trials at 100\.0 Hz: rates may differ by a factor"),
        (BandPass(8, np.inf, SFREQ), "'high' parameter of BandPass"),
        (BandPass(8, 50, SFREQ), r"low=8, high=50 is no band .* < 50\.0 Hz"),
        (BandPass(8, 8, SFREQ), "low=8, high=8 is no band"),
        (Crop(np.nan, 1, SFREQ), "'tmin' parameter of Crop"),
        (Crop(0, np.inf, SFREQ), "'tmax' parameter of Crop"),
        (Crop(0, 2.01, SFREQ), r"tmax=2\.01 s cut no window out of trials of 200 samples"),
        (Crop(1, 1, SFREQ), r"tmin=1, tmax=1 s cut no window"),
        (ExponentialMovingStandardizer(0.0), "'factor_new' parameter"),
        (ExponentialMovingStandardizer(1.0), "'factor_new' parameter"),
        (ExponentialMovingStandardizer(eps=0), "'eps' parameter"),
        (ExponentialMovingStandardizer(init_block_size=0), "'init_block_size' parameter"),
        (Crop(0, 3, SFREQ), r"tmax=3 s cut no window out of trials of 200 samples, 2 s"),
        (Crop(1, 0.5, SFREQ), r"tmin=1, tmax=0\.5 s cut no window"),
        (ExponentialMovingStandardizer(1.5), "'factor_new' parameter"),
        (FilterBank(), "FilterBank needs the sampling rate"),
        (FilterBank([(30, 60)], SFREQ), "n_bands"),
    ],
)
def test_parameters_are_checked_in_fit_by_name(transformer, message, X):
    with pytest.raises(ValueError, match=message):
        transformer.fit(X)


RATED = [BandPass, Resampler, Crop, FilterBank]


@pytest.mark.parametrize("sfreq", [0, -100.0, np.inf, np.nan])
@pytest.mark.parametrize("cls", RATED)
def test_what_is_no_sampling_rate_is_refused(cls, sfreq, X):
    with pytest.raises(ValueError, match=f"'sfreq' parameter of {cls.__name__}"):
        cls(sfreq=sfreq).fit(X)


@pytest.mark.parametrize("number", [np.float32, np.float16, np.int16, np.int64], ids=lambda n: n.__name__)
@pytest.mark.parametrize(
    ("cls", "parameters"),
    [
        (BandPass, {"low": 8, "high": 30, "sfreq": 100, "order": 4}),
        (Resampler, {"new_sfreq": 64, "sfreq": 100}),
        (Crop, {"tmin": 0, "tmax": 1, "sfreq": 100}),
        (ExponentialMovingStandardizer, {"init_block_size": 20, "eps": 1}),
        (FilterBank, {"n_bands": 3, "sfreq": 100}),
        (EuclideanAlignment, {"min_trials": 3}),
    ],
)
def test_numbers_of_numpy_are_numbers(cls, parameters, number, X):
    whole = {"order", "init_block_size", "n_bands", "min_trials"}
    of_numpy = {k: (np.int16 if k in whole else number)(v) for k, v in parameters.items()}
    assert_array_equal(cls(**of_numpy).fit_transform(X), cls(**parameters).fit_transform(X))


def test_fractions_of_single_precision_mean_what_they_say(X):
    expected = ExponentialMovingStandardizer(float(np.float32(0.01))).fit_transform(X)
    assert_array_equal(ExponentialMovingStandardizer(np.float32(0.01)).fit_transform(X), expected)
    assert Crop(np.float32(0.7), np.float32(1.3), SFREQ).fit_transform(X).shape == (12, 3, 60)
    resampled = Resampler(np.float32(50)).fit_transform(EEGArray(X, SFREQ))
    assert resampled.shape == (12, 3, 100) and type(resampled.sfreq) is float


@pytest.mark.parametrize("cls", RATED)
def test_sampling_rates_may_differ_by_rounding(cls, X):
    from_file = float(np.float32(200.1))
    parameters = {"n_bands": 2} if cls is FilterBank else {}
    fitted = cls(sfreq=200.1, **parameters).fit(EEGArray(X, from_file))
    assert_array_equal(fitted.transform(X), np.asarray(fitted.transform(EEGArray(X, from_file))))


@pytest.mark.parametrize("cls", RATED)
def test_sampling_rates_must_agree(cls, X):
    with pytest.raises(ValueError, match=r"sfreq=128\.0 Hz, but X was sampled at 100\.0 Hz"):
        cls(sfreq=128.0).fit(EEGArray(X, SFREQ))
    with pytest.raises(ValueError, match=rf"128\.0 Hz, but {cls.__name__} was fitted at 100\.0 Hz"):
        cls().fit(EEGArray(X, SFREQ)).transform(EEGArray(X, 128.0))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@all_transformers
def test_trials_are_copied_once(transformer, dtype):
    """Of FilterBank this sees nothing: its memory is PyTorch's."""
    X = np.random.default_rng(0).standard_normal((500, 4, 400)).astype(dtype)
    fitted = clone(transformer).fit(X)
    result = fitted.transform(X[:10])
    tracemalloc.start()
    try:
        result = fitted.transform(X)
        beyond = tracemalloc.get_traced_memory()[1] - result.nbytes
    finally:
        tracemalloc.stop()
    assert beyond < 0.1 * X.nbytes


def test_a_fit_that_fails_leaves_the_transformer_as_it_was(X):
    crop, band = Crop(0, 2, SFREQ).fit(X), BandPass(8, 30).fit(EEGArray(X, 100))
    bank = FilterBank(2, SFREQ).fit(X)
    for fitted, wrong in ((crop, X[:, :2, :100]), (band, EEGArray(X[:, :2], 40)), (bank, X[0])):
        before = vars(fitted).copy()
        with pytest.raises(ValueError, match=r"cut no window|is no band|2-dimensional"):
            fitted.fit(wrong)
        assert vars(fitted) == before


# Scaler --------------------------------------------------------------------------------------------------


def test_scaler_standardises_each_channel_over_trials_and_time(X):
    scaler = Scaler().fit(X)
    assert_allclose(scaler.center_, X.mean(axis=(0, 2)))
    assert_allclose(scaler.scale_, X.std(axis=(0, 2)))
    assert_allclose(scaler.transform(X), (X - X.mean((0, 2), keepdims=True)) / X.std((0, 2), keepdims=True))


def test_robust_scaling_equals_standard_on_normal_data_and_ignores_artefacts():
    X = 5 + 20 * rng.standard_normal((50, 2, 1000))
    robust = Scaler("robust").fit(X)
    assert_allclose(robust.scale_, 20, rtol=0.02)
    assert_allclose(robust.center_, np.median(X, axis=(0, 2)))
    X[:2] = 1e5
    assert_allclose(Scaler("robust").fit(X).scale_, robust.scale_, rtol=0.1)
    assert (Scaler().fit(X).scale_ > 1000).all()


def test_scaler_keeps_precision_of_small_signals_on_large_offsets():
    X = (1e5 + rng.standard_normal((20, 2, 500))).astype(np.float32)
    assert_allclose(Scaler().fit_transform(X).std(axis=(0, 2)), 1, rtol=1e-3)


def test_constant_channels_become_zero():
    X = rng.standard_normal((4, 2, 50))
    X[:, 1] = 0.1
    for method in ("standard", "robust"):
        scaler = Scaler(method).fit(X)
        assert scaler.scale_[1] == 1
        assert_allclose(scaler.transform(X)[:, 1], 0, atol=1e-12)


def test_microvolt_multiplies_arrays_and_leaves_what_is_in_microvolts(epochs):
    volts = epochs.get_data(picks="eeg")
    scaler = Scaler("microvolt")
    assert_allclose(scaler.fit_transform(volts), 1e6 * volts)
    for X in (epochs, [epochs], (epochs,)):
        assert_allclose(np.asarray(scaler.fit_transform(X)), 1e6 * volts)
    microvolts = EEGArray(1e6 * volts, SFREQ)
    assert_array_equal(np.asarray(scaler.transform(microvolts)), np.asarray(microvolts))


@pytest.mark.parametrize("method", ["standard", "robust", "microvolt"])
def test_scaling_can_be_undone(method, X):
    scaler = Scaler(method).fit(X)
    assert_allclose(scaler.inverse_transform(scaler.transform(X)), X, rtol=1e-10)


# Euclidean alignment -------------------------------------------------------------------------------------


def covariance(X):
    return np.mean([trial @ trial.T / trial.shape[1] for trial in X], axis=0)


def two_subjects(n_chans=4):
    mixings = rng.standard_normal((2, n_chans, n_chans)) + 2 * np.eye(n_chans)
    X = np.concatenate([mixing @ rng.standard_normal((15, n_chans, 100)) for mixing in mixings])
    return X, np.repeat(["anna", "ben"], 15)


def test_alignment_whitens_each_group_by_the_inverse_square_root_of_its_mean_covariance():
    X, subjects = two_subjects()
    order = rng.permutation(len(X))
    X, subjects = X[order], subjects[order]
    aligned = EuclideanAlignment().fit_transform(X, groups=subjects)
    for subject in ("anna", "ben"):
        rows = subjects == subject
        values, vectors = np.linalg.eigh(covariance(X[rows]))
        expected = vectors @ np.diag(values**-0.5) @ vectors.T @ X[rows]
        assert_allclose(aligned[rows], expected, rtol=1e-8, atol=1e-10)
        assert_allclose(covariance(aligned[rows]), np.eye(4), atol=1e-10)


def test_a_new_group_is_aligned_by_its_own_trials_and_a_known_one_by_those_of_fit():
    X, subjects = two_subjects()
    alignment = EuclideanAlignment().fit(X[subjects == "anna"], groups=subjects[subjects == "anna"])
    both = alignment.transform(X, groups=subjects)
    assert_allclose(covariance(both[subjects == "ben"]), np.eye(4), atol=1e-10)
    single = alignment.transform(X[:1], groups=["anna"])
    assert_allclose(single, both[:1], rtol=1e-10)


def test_without_groups_all_trials_are_one_that_fit_saw():
    X, _ = two_subjects()
    alignment = EuclideanAlignment().fit(X)
    assert_allclose(covariance(alignment.transform(X)), np.eye(4), atol=1e-10)
    assert_allclose(alignment.transform(X[:1]), alignment.transform(X)[:1], rtol=1e-10)


def test_a_new_group_of_few_trials_falls_back_on_all_training_trials():
    X, subjects = two_subjects()
    alignment = EuclideanAlignment(min_trials=5).fit(X, groups=subjects)
    with pytest.warns(UserWarning, match=r"'carl' is new and has 4 trials, fewer than min_trials=5"):
        few = alignment.transform(X[:4], groups=["carl"] * 4)
    assert_allclose(few, EuclideanAlignment().fit(X).transform(X[:4]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rank_deficient_trials_are_whitened_where_they_vary(dtype):
    X, _ = two_subjects(5)
    X[:, 4] = X[:, 3]  # interpolated from its neighbour
    X = (X - X.mean(axis=1, keepdims=True)).astype(dtype)  # average reference
    aligned = EuclideanAlignment().fit_transform(X)
    values = np.linalg.eigvalsh(covariance(aligned.astype(np.float64)))
    assert_allclose(values, [0, 0, 1, 1, 1], atol=1e-4)


def test_a_silent_recording_stays_silent():
    assert_array_equal(EuclideanAlignment().fit_transform(np.zeros((6, 2, 10))), 0)


def test_groups_of_another_length_are_refused():
    X, subjects = two_subjects()
    with pytest.raises(ValueError, match=r"groups has shape \(29,\), but X has 30 trials"):
        EuclideanAlignment().fit(X, groups=subjects[:-1])
    for missing in (np.nan, None):
        with pytest.raises(ValueError, match="groups has missing values"):
            EuclideanAlignment().fit(X, groups=[missing, *subjects[1:]])


class Watched(EuclideanAlignment):
    """Notes which groups arrive."""

    seen = []

    def transform(self, X, groups=None):
        self.seen.append(None if groups is None else sorted(set(groups)))
        return super().transform(X, groups)

    def fit_transform(self, X, y=None, groups=None):
        self.seen.append(None if groups is None else sorted(set(groups)))
        return super().fit_transform(X, y, groups)


def test_groups_arrive_by_metadata_routing_at_fit_and_at_predict():
    X, y, subjects = rng.standard_normal((30, 2, 20)), np.tile([0, 1], 15), np.repeat(["a", "b", "c"], 10)
    flatten = FunctionTransformer(lambda X: X.reshape(len(X), -1))
    pipe = make_pipeline(Watched(), flatten, LinearDiscriminantAnalysis())
    Watched.seen.clear()
    with sklearn.config_context(enable_metadata_routing=True):
        cross_val_score(pipe, X, y, cv=LeaveOneGroupOut(), params={"groups": subjects})
    assert Watched.seen == [["b", "c"], ["a"], ["a", "c"], ["b"], ["a", "b"], ["c"]]


# Filters -------------------------------------------------------------------------------------------------


def test_band_pass_is_scipys_butterworth_forward_and_backward(X):
    sos = signal.butter(4, [8, 30], "bandpass", fs=SFREQ, output="sos")
    assert_allclose(BandPass(8, 30, SFREQ).fit_transform(X), signal.sosfiltfilt(sos, X), rtol=1e-9, atol=1e-9)
    causal = BandPass(8, 30, SFREQ, causal=True).fit_transform(X)
    assert_allclose(causal, signal.sosfilt(sos, X), rtol=1e-9, atol=1e-9)


def test_causal_filters_and_standardisation_do_not_look_ahead(X):
    changed = X.copy()
    changed[:, :, 120:] += 100
    for transformer in (BandPass(sfreq=SFREQ, causal=True), ExponentialMovingStandardizer(0.01)):
        before, after = transformer.fit(X).transform(X), transformer.transform(changed)
        assert_array_equal(before[:, :, :120], after[:, :, :120])
        assert not np.allclose(before[:, :, 120:], after[:, :, 120:])


@pytest.mark.parametrize(("low", "high", "kept"), [(None, 8, [5]), (30, None, [40]), (10, 30, [20])])
def test_band_pass_keeps_what_lies_in_the_band(low, high, kept):
    time = np.arange(1000) / SFREQ
    X = np.stack([[np.sin(2 * np.pi * f * time) for f in (5, 20, 40)]])
    power = BandPass(low, high, SFREQ).fit_transform(X)[0, :, 200:800].std(axis=1)
    for frequency, left in zip((5, 20, 40), power, strict=True):
        assert left == pytest.approx(2**-0.5 if frequency in kept else 0, abs=0.02)


def test_short_trials_can_be_filtered():
    assert np.isfinite(BandPass(sfreq=SFREQ).fit_transform(np.ones((2, 2, 3)))).all()


@pytest.mark.parametrize(("new", "n_times"), [(160.0, 480), (64.0, 192), (100.3, 301)])
def test_resampling_keeps_a_slow_wave(new, n_times):
    def wave(rate, n):
        return 3 + np.sin(2 * np.pi * 3 * np.arange(n) / rate)

    result = Resampler(new).fit_transform(EEGArray(wave(128, 384)[np.newaxis, np.newaxis], 128))
    assert result.shape == (1, 1, n_times) and result.sfreq == new
    inner = slice(n_times // 10, -n_times // 10)
    assert_allclose(np.asarray(result)[0, 0][inner], wave(new, n_times)[inner], atol=0.01)


def test_resampling_filters_against_aliasing():
    time = np.arange(1024) / 256
    X = np.sin(2 * np.pi * 100 * time)[np.newaxis, np.newaxis]
    assert Resampler(128, sfreq=256).fit_transform(X)[..., 50:-50].std() < 0.01


def test_crop_takes_the_window(X):
    assert_array_equal(Crop(0.5, 1.25, SFREQ).fit_transform(X), X[:, :, 50:125])
    assert_array_equal(Crop(0.5, sfreq=SFREQ).fit_transform(X), X[:, :, 50:])
    with pytest.raises(ValueError, match="cut no window out of trials of 100 samples"):
        Crop(0.5, 1.25, SFREQ).fit(X[:, :, :100])


@pytest.mark.parametrize("init_block_size", [None, 50, 1000])
def test_moving_standardisation_follows_its_formula(init_block_size, X):
    factor, eps = 0.05, 0.5
    expected = np.zeros_like(X)
    mean = variance = weight = np.zeros(X.shape[:2])
    for t in range(X.shape[2]):  # the recursion of the paper, with the sum of the weights beside it
        mean = factor * X[..., t] + (1 - factor) * mean
        weight = factor + (1 - factor) * weight
        deviation = X[..., t] - mean / weight
        variance = factor * deviation**2 + (1 - factor) * variance
        expected[..., t] = deviation / np.maximum(np.sqrt(variance / weight), eps)
    if init_block_size is not None:
        block = X[..., :init_block_size]
        mean, spread = block.mean(-1, keepdims=True), block.std(-1, keepdims=True)
        expected[..., :init_block_size] = (block - mean) / spread
    standardizer = ExponentialMovingStandardizer(factor, init_block_size, eps)
    assert_allclose(standardizer.fit_transform(X), expected, rtol=1e-9, atol=1e-9)


def test_moving_standardisation_of_a_flat_channel_is_zero():
    assert_allclose(ExponentialMovingStandardizer().fit_transform(np.full((2, 2, 30), 7.0)), 0, atol=1e-8)


def test_filter_bank_gives_the_bands_of_its_design(X):
    bank = FilterBank([(4, 8), (8, 12)], SFREQ, "chebyshev2").fit(X)
    assert bank.bands_ == [(4.0, 8.0), (8.0, 12.0)]
    design = FilterBankDesign([(4, 8), (8, 12)], SFREQ, "chebyshev2")
    assert_array_equal(bank.transform(X), design(torch.from_numpy(X)).numpy())
    read_only = X.copy()
    read_only.flags.writeable = False
    assert bank.transform(read_only).shape == (12, 2, 3, 200)
