"""Filters and patterns are those of the function that a decoder computes, at the electrodes."""

import matplotlib
import mne
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from scipy.signal import fftconvolve
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import skeeg
from skeeg import (
    AttentionBaseNetClassifier,
    EEGArray,
    EuclideanAlignment,
    FBLightConvNetClassifier,
    Scaler,
    SincShallowNetClassifier,
    SSTDPNClassifier,
)
from skeeg.baselines import make_csp_lda, make_fbcsp_lda, make_mdm, make_tangent_space_lr
from skeeg.datasets import make_motor_imagery
from skeeg.inspection import PatternsDisplay, SpectraDisplay, find_patterns, find_spectra
from skeeg.inspection.electrodes import find_info
from skeeg.preprocessing import BandPass, Resampler

SHORT = {"max_epochs": 2, "random_state": 0, "verbose": 0}
NETWORKS = {
    "sstdpn": SSTDPNClassifier(n_fused_filters=6, spt_attn_global_context_kernel=100, lr=0.05, **SHORT),
    "sstdpn-l1": SSTDPNClassifier(n_fused_filters=6, spt_attn_mode="l1", lr=0.05, **SHORT),
    "attentionbasenet": AttentionBaseNetClassifier(
        n_temporal_filters=5, spatial_expansion=2, attention_mode="cbam", **SHORT
    ),
    "sincshallownet": SincShallowNetClassifier(num_time_filters=4, max_norm_spatial=0.1, **SHORT),
    "fblightconvnet": FBLightConvNetClassifier(n_bands=3, n_filters_spat=8, win_len=100, **SHORT),
    "fblightconvnet-causal": FBLightConvNetClassifier(
        n_bands=3, n_filters_spat=8, win_len=100, filter_parameters="chebyshev2", **SHORT
    ),
}


@pytest.fixture(scope="module")
def data():
    X, y, metadata = make_motor_imagery(n_subjects=2, n_trials=30, n_chans=6, difficulty=0.0, random_state=1)
    return X, y, metadata["subject"].to_numpy()


@pytest.fixture(scope="module", params=NETWORKS)
def fitted(request, data):
    X, y, _ = data
    pipeline = make_pipeline(Scaler(), EuclideanAlignment(), clone(NETWORKS[request.param]))
    pipeline.fit(X, y)
    module = pipeline[-1].module_
    with torch.no_grad():  # normalisations that turn signs and scale
        for norm in module.modules():
            if isinstance(norm, torch.nn.modules.batchnorm._BatchNorm):
                norm.weight.copy_(torch.linspace(-2, 1.37, len(norm.weight)))
    return pipeline


def taps_of(module):
    """Impulse responses of the temporal filters, (n_filters, 2001), lag 0 in the middle."""
    impulse = torch.zeros(1, 1, 2001)
    impulse[..., 1000] = 1
    if hasattr(module, "_bank"):
        return module._bank(impulse.double())[0, :, 0].numpy()
    if hasattr(module, "sinc_filter_layer"):
        taps = module.sinc_filter_layer()
    elif hasattr(module, "input_block"):
        taps = module.input_block.temporal_conv.weight[:, 0, 0]
    else:
        taps = module.encoder.temporal_conv.taps
    left = (taps.shape[1] - 1) // 2 if hasattr(module, "encoder") else taps.shape[1] // 2
    padded = torch.nn.functional.pad(impulse, (left, taps.shape[1] - 1 - left))
    return torch.nn.functional.conv1d(padded, taps[:, None])[0].detach().numpy().astype(float)


def rows_of(module, x, gates):
    """What is activated first, by PyTorch's own layers one after the other: (batch, rows, times)."""
    x = torch.as_tensor(x)
    with torch.no_grad():
        if hasattr(module, "input_block"):
            stem = module.input_block
            x = stem.intermediate_bn(
                torch.nn.functional.conv2d(x[:, None], stem.temporal_conv.weight, padding="same")
            )
            return stem.bn(stem.spatial_conv(x))[:, :, 0]
        if hasattr(module, "sinc_filter_layer"):
            norm, conv = module.depthwiseconv
            taps = module.sinc_filter_layer()[:, None, None]
            x = norm(torch.nn.functional.conv2d(x[:, None], taps, padding="same"))
            weight = conv.weight / (conv.weight.flatten(1).norm(dim=1)[:, None, None, None] / 0.1).clamp(
                min=1
            )
            x = torch.nn.functional.conv2d(x, weight, groups=conv.groups)
            return module.temporal_aggregation[0](x)[:, :, 0]
        if hasattr(module, "_bank"):
            conv, norm, _ = module.spatial_conv
            return norm(conv(module._bank(x)))[:, :, 0]
        encoder = module.encoder
        x = torch.nn.functional.conv2d(
            x[:, None], encoder.temporal_conv.weight[:, :, None], encoder.temporal_conv.bias, padding="same"
        )
        fusion, norm, _ = encoder.chan_conv
        return norm(fusion((x * gates[:, :, None]).flatten(1, 2)))


def test_filters_are_the_response_to_an_impulse_at_an_electrode(fitted, data):
    X, y, _ = data
    patterns = find_patterns(fitted, X, y)
    module = fitted[-1].module_
    gates = (
        torch.as_tensor(fitted[-1]._forward(fitted[:-1].transform(X), function="gates").mean(0))
        if hasattr(module, "encoder")
        else None
    )
    n_chans, n_times = X.shape[1:]
    quiet = np.zeros((1, n_chans, n_times), np.float32)
    impulses = np.zeros((n_chans, n_chans, n_times), np.float32)
    impulses[range(n_chans), range(n_chans), n_times // 2] = 100.0
    given = [np.asarray(fitted[:-1].transform(trials)) for trials in (quiet, impulses)]
    rows = [rows_of(module, trials, gates).double().numpy() for trials in given]
    measured = rows[1] - rows[0]  # (electrode, row, time)

    taps = taps_of(module)[:, 1000 - n_times // 2 : 1000 + n_times - n_times // 2]
    table = patterns.components
    assert set(table["row"]) == set(range(measured.shape[1]))
    for row in range(measured.shape[1]):
        of_row = table.index[table["row"] == row]
        columns = [np.outer(patterns.filters_[k], taps[table["filter"][k]]).ravel() for k in of_row]
        gain, *_ = np.linalg.lstsq(np.array(columns).T, measured[:, row].ravel())
        predicted = gain @ np.array(columns)
        assert (gain > 0).all()  # so the sign is the network's, too
        error = np.abs(predicted - measured[:, row].ravel()).max() / np.abs(measured[:, row]).max()
        assert error < (0.02 if "_bank" in vars(module) else 2e-4)  # the bank reflects trials at their ends


@pytest.mark.parametrize("joint", [False, True])
def test_patterns_are_haufes_formula_in_the_time_domain(fitted, data, joint):
    X, y, _ = data
    patterns = find_patterns(fitted, X, y, joint=joint)
    table = patterns.components
    electrodes = np.asarray(X, float) - np.asarray(X, float).mean(axis=2, keepdims=True)
    for number, taps in enumerate(taps_of(fitted[-1].module_)):
        of_filter = table.index[table["filter"] == number]
        filtered = (
            fftconvolve(electrodes, taps[None, None], axes=2).transpose(1, 0, 2).reshape(X.shape[1], -1)
        )
        covariance = filtered @ filtered.T / (len(X) * X.shape[2])
        W = patterns.filters_[of_filter].T
        np.testing.assert_allclose(np.diag(W.T @ covariance @ W), 1, rtol=2e-3)
        if joint:  # A = S W (W'S W)^-1
            expected = covariance @ W @ np.linalg.pinv(W.T @ covariance @ W, rcond=1e-8, hermitian=True)
        else:
            expected = covariance @ W
        scale = np.abs(expected).max()
        np.testing.assert_allclose(
            patterns.patterns_[of_filter].T, expected, atol=(5e-3 if joint else 2e-3) * scale
        )


def test_csp_is_that_of_its_library_carried_back(data):
    X, y, _subjects = data
    csp = make_csp_lda(n_components=4)
    csp.fit(X, y)
    found = find_patterns(csp, X, y)
    for name in ("filters_", "patterns_"):
        theirs, ours = getattr(csp["csp"], name), getattr(found, name)
        cosines = [abs(np.corrcoef(a, b)[0, 1]) for a, b in zip(theirs, ours, strict=True)]
        assert min(cosines) > (0.9999 if name == "filters_" else 0.99)
    assert found.components[["low", "high"]].drop_duplicates().to_numpy().tolist() == [[8.0, 30.0]]

    recentred = make_csp_lda(n_components=4, recenter=True).fit(X, y)
    found = find_patterns(recentred, X, y)
    reference = recentred["euclideanalignment"].reference_
    values, vectors = np.linalg.eigh(reference)
    root = (vectors / np.sqrt(values)) @ vectors.T
    back = recentred["csp"].filters_ @ root  # w' R^-1/2 x
    assert all(np.corrcoef(a, b)[0, 1] > 0.9999 for a, b in zip(back, found.filters_, strict=True))
    # at the electrodes, not in the whitened space
    forward = np.linalg.pinv(recentred["csp"].filters_).T @ np.linalg.inv(root)
    assert (
        np.median([abs(np.corrcoef(a, b)[0, 1]) for a, b in zip(forward, found.patterns_, strict=True)])
        > 0.95
    )


def test_mnes_csp_and_mnes_figures(data):
    X, y, _ = data
    pipeline = make_pipeline(BandPass(8, 30), mne.decoding.CSP(4), LogisticRegression()).fit(X, y)
    found = find_patterns(pipeline, X, y)
    csp = pipeline[1]
    assert found.filters_.shape == (4, X.shape[1])
    assert all(
        abs(np.corrcoef(a, b)[0, 1]) > 0.999 for a, b in zip(csp.filters_[:4], found.filters_, strict=True)
    )
    assert all(
        abs(np.corrcoef(a, b)[0, 1]) > 0.98 for a, b in zip(csp.patterns_[:4], found.patterns_, strict=True)
    )


def test_mne_takes_what_is_found(fitted, data):
    X, y, _ = data
    found = find_patterns(fitted, X, y)
    info = find_info(None, X.ch_names)
    spatial = mne.decoding.get_spatial_filter_from_estimator(found, info, patterns_method="haufe")
    np.testing.assert_array_equal(spatial.patterns, found.patterns_)
    np.testing.assert_array_equal(spatial.filters, found.filters_)
    figure = spatial.plot_patterns(components=[0, 1], show=False)
    assert len(figure.axes) >= 2
    matplotlib.pyplot.close("all")


def test_channels_in_another_order_and_epochs_are_the_same(data):
    X, y, _ = data
    names = list(X.ch_names)
    network = make_pipeline(Scaler(), SincShallowNetClassifier(num_time_filters=3, **SHORT)).fit(X, y)
    expected = find_patterns(network, X, y).to_frame()
    turned = EEGArray(np.asarray(X)[:, ::-1], X.sfreq, names[::-1])
    pd_same(find_patterns(network, turned, y).to_frame(), expected)
    info = mne.create_info(names, X.sfreq, "eeg")
    epochs = mne.EpochsArray(1e-6 * np.asarray(X, float), info, verbose="ERROR")
    pd_same(find_patterns(network, epochs, y).to_frame(), expected)  # volts have become µV


def pd_same(one, other):
    np.testing.assert_allclose(
        one[other.columns].to_numpy(float), other.to_numpy(float), rtol=1e-3, atol=1e-5
    )


def test_other_rates_montages_and_decoders_of_the_wheel():
    X, y, metadata = skeeg.datasets.load_motor_imagery([1, 2])
    decoder = skeeg.pretrained.load_pretrained(
        "left-right-hand", ch_names=X.ch_names, sfreq=X.sfreq, verbose=False
    )
    found = find_patterns(decoder, X, y, groups=metadata["subject"])
    assert found.ch_names == list(X.ch_names) and found.sfreq == 160
    again = find_patterns(decoder, X, y, groups=metadata["subject"])  # looking teaches nothing
    np.testing.assert_array_equal(found.patterns_, again.patterns_)
    louder = find_patterns(decoder, 3 * X, y, groups=metadata["subject"])
    np.testing.assert_allclose(louder.patterns_, 3 * found.patterns_, rtol=0.02, atol=0.02)  # µV
    left, right = (found.ch_names.index(name) for name in ("C3", "C4"))
    best = np.abs(found.patterns_[found.best(6)])
    assert (best[:, [left, right]].max(axis=1) > 0.6 * best.max(axis=1)).sum() >= 4  # over the motor strip

    half = make_pipeline(Resampler(80), Scaler(), SincShallowNetClassifier(num_time_filters=3, **SHORT)).fit(
        X, y
    )
    found = find_patterns(half, X, y)
    assert found.sfreq == 80 and found.components["high"].max() < 40


def test_what_cannot_be_carried_back_is_refused(data):
    X, y, _ = data
    squared = make_pipeline(
        FunctionTransformer(np.square), clone(NETWORKS["sincshallownet"]).set_params(sfreq=125)
    )
    squared.fit(np.asarray(X), y)
    with pytest.raises(ValueError, match="not known to be linear"):
        find_patterns(squared, np.asarray(X), y)
    moving = make_pipeline(
        skeeg.preprocessing.ExponentialMovingStandardizer(), clone(NETWORKS["sincshallownet"])
    )
    with pytest.raises(ValueError, match="not known to be linear"):
        find_patterns(moving.fit(X, y), X)
    flat = make_pipeline(FunctionTransformer(lambda X: X.std(axis=2)), LogisticRegression())
    with pytest.raises(ValueError, match="FunctionTransformer"):
        find_patterns(flat.fit(np.asarray(X), y), np.asarray(X))
    network = make_pipeline(Scaler(), SincShallowNetClassifier(num_time_filters=3, **SHORT)).fit(X, y)
    with pytest.raises(ValueError, match="sampled at 250"):
        find_patterns(network, EEGArray(np.asarray(X), 250, X.ch_names), y)
    with pytest.raises(ValueError, match="two electrodes or more"):
        one = make_csp_lda().fit(X[:, [0]], y)
        PatternsDisplay.from_estimator(one, X[:, [0]], y, figure=Figure())
    with pytest.raises(ValueError, match="y has 3 labels"):
        find_patterns(make_csp_lda().fit(X, y), X, y[:3])
    with pytest.warns(UserWarning, match="volts"):
        find_patterns(make_csp_lda(sfreq=X.sfreq).fit(1e-6 * np.asarray(X), y), 1e-6 * np.asarray(X), y)
    csp = make_csp_lda(sfreq=125).fit(np.asarray(X), y)
    with pytest.raises(ValueError, match="names of the channels are not known"):
        PatternsDisplay.from_estimator(csp, np.asarray(X), y, figure=Figure())
    numbered = EEGArray(np.asarray(X), 125, [f"E{i}" for i in range(6)])
    with pytest.raises(ValueError, match=r"has no channels .'E0'"):
        PatternsDisplay.from_estimator(make_csp_lda().fit(numbered, y), numbered, y, figure=Figure())


@pytest.mark.parametrize("make", [make_fbcsp_lda, make_mdm, make_tangent_space_lr])
def test_other_baselines(data, make):
    X, y, _ = data
    baseline = make(recenter=True).fit(X, y)
    found = find_patterns(baseline, X, y)
    assert np.isfinite(found.patterns_).all()
    place = [X.ch_names.index(name) for name in ("C3", "C4")]
    best = np.abs(found.patterns_[found.best(2)])
    assert set(best.argmax(axis=1)) == set(place)  # the simulated hands


def test_figures_draw_what_is_in_the_tables(fitted, data):
    X, y, _ = data
    display = PatternsDisplay.from_estimator(fitted, X, y, components=3, title="$_left$", figure=Figure())
    assert len(display.axes_) == len(display.images_) == 3
    assert display.chosen == display.patterns.best(3)
    display.figure_.canvas.draw()
    spectra = SpectraDisplay.from_estimator(fitted, ax=Figure().subplots())
    assert len(spectra.bands) == display.patterns.components["filter"].nunique()
    for number, (low, high) in (
        display.patterns.components.groupby("filter")[["low", "high"]].first().iterrows()
    ):
        assert spectra.bands.loc[number, ["low", "high"]].to_list() == [low, high]


def test_bands_are_where_half_of_the_amplitude_passes(fitted):
    module, sfreq = fitted[-1].module_, fitted[-1].sfreq_
    bands, _spectra = find_spectra(fitted)
    time = np.arange(-1000, 1001) / sfreq
    for number, taps in enumerate(taps_of(module)):
        at = {
            edge: abs(np.sum(taps * np.exp(-2j * np.pi * f * time)))
            for edge, f in bands.loc[number, ["low", "peak", "high"]].items()
        }
        for edge in ("low", "high"):
            inside = 0 < bands.loc[number, edge] < sfreq / 2
            assert (
                (at[edge] / at["peak"] == pytest.approx(0.5, abs=0.01))
                if inside
                else at[edge] >= 0.49 * at["peak"]
            )


def test_electrodes_have_the_places_of_the_info():
    info = mne.create_info(["a", "b", "c"], 100.0, "eeg")
    info.set_montage(
        mne.channels.make_dig_montage(
            {"a": [0.1, 0, 0], "b": [0, 0.1, 0], "c": [0, 0, 0.1]}, coord_frame="head"
        )
    )
    found = find_info(info, ["c", "a"])
    assert found["ch_names"] == ["c", "a"]
    np.testing.assert_allclose(found["chs"][1]["loc"][:3], [0.1, 0, 0])
    with pytest.raises(ValueError, match=r"no channel of the names .'d'"):
        find_info(info, ["a", "d"])
    with pytest.raises(ValueError, match="info has 3 channels"):
        find_info(info, None, 4)
