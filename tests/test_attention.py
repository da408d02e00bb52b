"""The attention blocks against independent formulas, at the edges of their input and in their messages."""

import copy
import math
import pickle

import numpy as np
import pytest
import scipy.fft
import scipy.ndimage
import torch

from skeeg.modules.attention import ATTENTION_BLOCKS, make_attention, mode_reads

CH, T = 16, 62
OPTIONS = [
    *((mode, {}) for mode in ATTENTION_BLOCKS),
    ("ge", {"use_mlp": True}),
    ("ge", {"extra_params": True}),
    ("ge", {"extra_params": True, "use_mlp": True}),
    ("srm", {"use_mlp": True}),
    ("fca", {"freq_idx": 5}),
    ("encnet", {"n_codewords": 6}),
    ("cat", {"kernel_size": 3, "reduction_rate": 8}),
]
IDS = [f"{mode}{''.join(f'-{k}={v}' for k, v in options.items())}" for mode, options in OPTIONS]
all_options = pytest.mark.parametrize(("mode", "options"), OPTIONS, ids=IDS)


def make(mode, options, seed=0, dtype=torch.float64, **shape):
    """A block all of whose parameters are random, so that none hides at its initial 0 or 1."""
    torch.manual_seed(seed)
    default = torch.get_default_dtype()
    try:
        torch.set_default_dtype(dtype)
        block = make_attention(mode, **{"ch_dim": CH, "seq_len": T, **shape}, **options)
    finally:
        torch.set_default_dtype(default)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return block


def sigmoid(v):
    return 1 / (1 + np.exp(-v))


def norm(v, axes, weight, bias):
    """Batch normalisation with the statistics of v itself."""
    v = (v - v.mean(axes, keepdims=True)) / np.sqrt(v.var(axes, keepdims=True) + 1e-5)
    return v * weight + bias


def mlp(v, down, up, down_bias=0, up_bias=0):
    """(batch, ch_dim) -> (batch, ch_dim)."""
    down, up = down.reshape(down.shape[0], -1), up.reshape(up.shape[0], -1)
    return np.maximum(v @ down.T + down_bias, 0) @ up.T + up_bias


def entropy(x, axis):
    p = scipy.special.softmax(x, axis)
    return -(p * np.log(p)).sum(axis)


def rescale(v):
    low, high = v.min(1, keepdims=True), v.max(1, keepdims=True)
    return (v - low) / (high - low)


def fusion_gate(x, w):
    """CAT's channel gate and the blurred maxima."""
    gauss = np.exp(-0.5 * np.arange(-2, 3) ** 2)
    blurred = scipy.ndimage.convolve1d(x, gauss / gauss.sum(), axis=2, mode="constant")
    layers = [w["mlp.0.weight"], w["mlp.2.weight"], w.get("mlp.0.bias", 0), w.get("mlp.2.bias", 0)]
    score = w["c_alpha"] * mlp(x.mean(2), *layers)
    score = score + w["c_beta"] * mlp(blurred.max(2), *layers)
    score = score + w["c_gamma"] * mlp(rescale(entropy(x, 2)), *layers)
    return sigmoid(score), blurred.max(2)


def conv_same(x, kernel):
    """Cross-correlation along the last axis, zero padding, of (channels in, times) with (out, in, k)."""
    out = np.zeros((kernel.shape[0], x.shape[1]))
    for o, i in np.ndindex(kernel.shape[:2]):
        out[o] += np.correlate(x[i], kernel[o, i], "same")
    return out


def reference_gate(mode, options, x, w):
    """The gate, broadcastable to x (batch, ch_dim, times), in numpy, in train mode, step by step."""
    mean, std = x.mean(2), x.std(2, ddof=1)
    if mode == "se":
        gate = sigmoid(mlp(mean, w["fc1.weight"], w["fc2.weight"]))
    elif mode == "gsop":
        mixed = np.einsum("hc,bct->bht", w["pw_conv1.weight"][:, :, 0, 0], x)
        cov = np.stack([np.cov(trial) for trial in mixed])
        cov = norm(cov, (0, 2), w["bn.weight"][:, None], w["bn.bias"][:, None])
        rows = np.stack(
            [cov[:, i // 4] @ w["rw_conv.weight"][i, 0, :, 0] for i in range(4 * mixed.shape[1])], 1
        )
        gate = (rows + w["rw_conv.bias"]) @ w["pw_conv2.weight"][:, :, 0, 0].T + w["pw_conv2.bias"]
    elif mode == "fca":
        coefficient = scipy.fft.dct(x, axis=2, norm="ortho")[..., options.get("freq_idx", 0)]
        gate = sigmoid(mlp(coefficient, w["fc.0.weight"], w["fc.2.weight"]))
    elif mode == "encnet":
        difference = x.transpose(0, 2, 1)[:, :, None] - w["codewords"]  # (batch, times, codewords, ch_dim)
        assigned = scipy.special.softmax(w["smoothing"] * (difference**2).sum(-1), 2)
        encoded = (assigned[..., None] * difference).sum(1)
        encoded = norm(encoded, (0, 2), w["bn.weight"][:, None], w["bn.bias"][:, None])
        gate = sigmoid(np.maximum(encoded, 0).mean(1) @ w["fc.weight"].T + w["fc.bias"])
    elif mode == "eca":
        gate = sigmoid(np.concatenate([conv_same(row[None], w["conv.weight"]) for row in mean]))
    elif mode == "ge":
        gathered = mean
        if options.get("extra_params"):
            gathered = np.einsum("bct,ct->bc", x, w["gather.0.weight"][:, 0, 0])
            gathered = norm(gathered, 0, w["gather.1.weight"], w["gather.1.bias"])
        if options.get("use_mlp"):
            gathered = mlp(gathered, w["mlp.0.weight"], w["mlp.2.weight"])
        gate = sigmoid(gathered)
    elif mode == "gct":
        alpha, beta, gamma = (w[name].ravel() for name in ("alpha", "beta", "gamma"))
        energy = alpha * np.sqrt((x**2).sum(2) + 1e-5)
        gate = 1 + np.tanh(energy * gamma / np.sqrt((energy**2).mean(1, keepdims=True) + 1e-5) + beta)
    elif mode == "srm":
        style = np.stack([mean, std], 2)
        if options.get("use_mlp"):
            style = mlp(
                style.reshape(len(x), -1), w["style_integration.1.weight"], w["style_integration.3.weight"]
            )
        else:
            style = np.einsum("bcs,cs->bc", style, w["style_integration.weight"][:, 0])
        gate = sigmoid(norm(style, 0, w["bn.weight"], w["bn.bias"]))
    elif mode == "cbam":
        layers = w["fc.0.weight"], w["fc.2.weight"]
        gate = sigmoid(mlp(mean, *layers) + mlp(x.max(2), *layers))[..., None]
        gated = x * gate
        pooled = np.stack([gated.mean(1), gated.max(1)], 1)
        return gate * sigmoid(
            np.stack([conv_same(p, w["conv.weight"][:, :, 0]) for p in pooled]) + w["conv.bias"]
        )
    elif mode == "catlite":
        gate, _ = fusion_gate(x, w)
    elif mode == "cat":
        gate, maximum = fusion_gate(x, w)
        temporal = (
            -w["s_alpha"] * x.mean(1)[:, None]
            + w["s_beta"] * maximum[..., None]
            + w["s_gamma"] * rescale(entropy(x, 1))[:, None]
        )
        temporal = sigmoid(np.stack([conv_same(trial, w["conv.weight"][:, :, 0]) for trial in temporal]))
        share = np.exp([w["c_w"], w["s_w"]]) / np.exp([w["c_w"], w["s_w"]]).sum()
        return share[0] * gate[..., None] + share[1] * temporal
    return gate[..., None]


@all_options
def test_block_computes_the_formula(mode, options):
    block = make(mode, options)
    x = torch.randn(5, CH, 1, T, dtype=torch.float64)
    weights = {name: value.numpy() for name, value in block.state_dict().items()}
    expected = x[:, :, 0].numpy() * reference_gate(mode, options, x[:, :, 0].numpy(), weights)
    np.testing.assert_allclose(block(x)[:, :, 0].detach().numpy(), expected, rtol=1e-10, atol=1e-12)


@all_options
def test_gradients_agree_with_finite_differences(mode, options):
    options = {name: value for name, value in options.items() if name != "reduction_rate"}
    if "freq_idx" in options:
        options["freq_idx"] = 2
    block = make(mode, {"reduction_rate": 2, **options}, ch_dim=4, seq_len=6)
    x = torch.randn(3, 4, 1, 6, dtype=torch.float64, requires_grad=True)
    names = [name for name, parameter in block.named_parameters()]

    def call(x, *parameters):
        buffers = {name: value.clone() for name, value in block.named_buffers()}
        return torch.func.functional_call(block, (dict(zip(names, parameters, strict=True)), buffers), (x,))

    parameters = [p.detach().clone().requires_grad_() for p in block.parameters()]
    assert torch.autograd.gradcheck(call, (x, *parameters), fast_mode=True)


def awkward_inputs(dtype):
    torch.manual_seed(1)
    normal = torch.randn(3, CH, 1, T, dtype=dtype)
    spike = normal.clone()
    spike[0, 3, 0, 10] = 1000.0
    return {
        "all zero": torch.zeros_like(normal),
        "constant": torch.full_like(normal, 3.7),
        "constant channels": normal[..., :1].expand_as(normal).contiguous(),
        "equal channels": normal[:, :1].expand_as(normal).contiguous(),
        "1000 sigma": 1000 * normal,
        "one artefact": spike,
        "one flat trial": torch.cat([torch.zeros_like(normal[:1]), normal[1:]]),
    }


@all_options
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("training", [True, False])
def test_awkward_input_stays_finite(mode, options, dtype, training):
    for what, x in awkward_inputs(dtype).items():
        block = make(mode, options, dtype=dtype).train(training)
        x.requires_grad_()
        out = block(x)
        out.sum().backward()
        assert out.dtype == dtype
        assert out.isfinite().all(), what
        assert x.grad.isfinite().all(), what
        for name, parameter in block.named_parameters():
            assert parameter.grad.isfinite().all(), (what, name)


@pytest.mark.parametrize("mode", ["cat", "catlite"])
def test_entropy_of_one_dominant_sample_is_zero(mode):
    """Channels whose softmax is one-hot have entropy 0, those that are flat log(times): 0 and 1 rescaled."""
    block = make(mode, {}, dtype=torch.float32)
    x = torch.zeros(1, CH, 1, T)
    x[0, : CH // 2, 0, 7] = 1e4
    with torch.no_grad():  # only the entropy branch is left
        for name, parameter in block.named_parameters():
            if name in ("c_alpha", "c_beta", "s_alpha", "s_beta"):
                parameter.zero_()
        score = block.channel_score(x, torch.zeros(1, CH, 1, 1)).flatten()
        entropies = torch.tensor([0.0] * (CH // 2) + [1.0] * (CH // 2))[None, :, None, None]
        expected = torch.sigmoid(block.c_gamma * block.mlp(entropies)).flatten()
    torch.testing.assert_close(score, expected)


@all_options
def test_batch_of_one_trains(mode, options):
    block = make(mode, options, dtype=torch.float32)
    before = copy.deepcopy(block.state_dict())
    x = torch.randn(1, CH, 1, T, requires_grad=True)
    out = block(x)
    out.square().sum().backward()
    assert out.isfinite().all()
    assert all(parameter.grad is not None for parameter in block.parameters())
    if mode == "srm" or options.get("extra_params"):  # one value a channel: as in eval mode, nothing learned
        torch.testing.assert_close(out, block.eval()(x))
        assert all(torch.equal(value, before[name]) for name, value in block.state_dict().items())


def test_batch_of_one_with_one_mixture_in_gsop_trains():
    block = make("gsop", {"reduction_rate": CH})
    x = torch.randn(1, CH, 1, T, dtype=torch.float64)
    torch.testing.assert_close(block(x), block.eval()(x))


@all_options
def test_single_sample_trains(mode, options):
    options = {**options, "freq_idx": 0}
    block = make(mode, options, dtype=torch.float32, seq_len=1)
    x = torch.randn(4, CH, 1, 1, requires_grad=True)
    out = block(x)
    out.sum().backward()
    assert out.isfinite().all()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("seq_len", [61, 62, 63])
@all_options
def test_any_number_of_times(mode, options, seq_len):
    x = torch.randn(2, CH, 1, seq_len, dtype=torch.float64)
    assert make(mode, options, seq_len=seq_len)(x).shape == x.shape


def test_no_mode_is_no_block():
    assert make_attention(None, CH, T) is None


def test_unknown_mode_lists_the_modes():
    with pytest.raises(ValueError, match=r"'spam' must be None or one of se, gsop, .*, cat, catlite"):
        make_attention("spam", CH, T)


@pytest.mark.parametrize("mode", ["se", "gsop", "fca", "cbam", "cat", "catlite", "ge", "srm"])
@pytest.mark.parametrize("reduction_rate", [0, -1, CH + 1, 2.5])
def test_reduction_rate_out_of_range(mode, reduction_rate):
    with pytest.raises(ValueError, match=rf"reduction_rate={reduction_rate} .* from 1 to {CH}"):
        make_attention(mode, CH, T, reduction_rate=reduction_rate, use_mlp=True)


@pytest.mark.parametrize("mode", ["se", "gsop", "fca", "cbam", "cat", "catlite", "ge", "srm"])
def test_largest_reduction_rate_works(mode):
    x = torch.randn(2, CH, 1, T)
    assert make_attention(mode, CH, T, reduction_rate=CH, use_mlp=True)(x).shape == x.shape


@pytest.mark.parametrize("mode", ["eca", "cbam", "cat"])
@pytest.mark.parametrize("kernel_size", [0, 8])
def test_even_kernel_size(mode, kernel_size):
    with pytest.raises(ValueError, match=f"kernel_size={kernel_size} must be an odd"):
        make_attention(mode, CH, T, kernel_size=kernel_size)


@pytest.mark.parametrize("freq_idx", [-1, T, 0.5])
def test_freq_idx_out_of_range(freq_idx):
    with pytest.raises(ValueError, match=f"freq_idx={freq_idx} must be a whole number from 0 to {T - 1}"):
        make_attention("fca", CH, T, freq_idx=freq_idx)


@pytest.mark.parametrize("n_codewords", [0, 1.5])
def test_n_codewords_out_of_range(n_codewords):
    with pytest.raises(ValueError, match=f"n_codewords={n_codewords} must be"):
        make_attention("encnet", CH, T, n_codewords=n_codewords)


CHANGES = {
    "reduction_rate": 8,
    "use_mlp": True,
    "freq_idx": 3,
    "n_codewords": 7,
    "kernel_size": 5,
    "extra_params": True,
}


@pytest.mark.parametrize("mode", ATTENTION_BLOCKS)
@pytest.mark.parametrize("name", CHANGES)
def test_a_mode_reads_what_it_says_and_nothing_else(mode, name):
    """Changing a parameter changes the block (its weights' shapes or values) exactly if the mode reads it."""

    def state(**options):
        torch.manual_seed(0)
        return make_attention(mode, CH, T, **options).state_dict()

    # reduction_rate is read by ge and srm with use_mlp
    common = {"use_mlp": True} if name == "reduction_rate" else {}
    before, after = state(**common), state(**common, **{name: CHANGES[name]})
    same = before.keys() == after.keys() and all(
        value.shape == after[key].shape and torch.equal(value, after[key]) for key, value in before.items()
    )
    assert same == (name not in mode_reads[mode])


@pytest.mark.parametrize(
    ("mode", "options", "count"),
    [
        ("se", {}, 3820),
        ("gsop", {}, 4120),
        ("fca", {}, 3820),
        ("encnet", {}, 4040),
        ("eca", {}, 3701),
        ("ge", {}, 3692),
        ("ge", {"extra_params": True}, 4716),
        ("ge", {"extra_params": True, "use_mlp": True}, 4844),
        ("gct", {}, 3740),
        ("srm", {}, 3756),
        ("srm", {"use_mlp": True}, 4108),
        ("cbam", {}, 3839),
        ("cat", {}, 6132),
        ("catlite", {}, 3843),
    ],
)
def test_parameter_counts(mode, options, count):
    block = make_attention(mode, CH, T, **options)
    assert sum(p.numel() for p in block.parameters() if p.requires_grad) == count - 3692


@all_options
def test_non_contiguous_input_copies_and_pickles(mode, options):
    block = make(mode, options).eval()
    x = torch.randn(3, T, 1, CH, dtype=torch.float64).transpose(1, 3)
    expected = block(x.contiguous())
    torch.testing.assert_close(block(x), expected)
    assert torch.equal(copy.deepcopy(block)(x.contiguous()), expected)
    assert torch.equal(pickle.loads(pickle.dumps(block))(x.contiguous()), expected)


@all_options
def test_vmap_over_trials(mode, options):
    block = make(mode, options).eval()
    x = torch.randn(3, CH, 1, T, dtype=torch.float64)
    mapped = torch.func.vmap(lambda trial: block(trial[None])[0])(x)
    torch.testing.assert_close(mapped, block(x))


@all_options
def test_autocast(mode, options):
    block = make(mode, options, dtype=torch.float32).eval()
    x = torch.randn(3, CH, 1, T)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = block(x)
    torch.testing.assert_close(low.float(), block(x), rtol=0.1, atol=0.1)


@all_options
def test_result_does_not_depend_on_the_number_of_threads(mode, options):
    def run():
        block = make(mode, options, dtype=torch.float32)
        x = torch.randn(64, CH, 1, T, requires_grad=True)
        out = block(x)
        out.square().sum().backward()
        return [out, x.grad, *(parameter.grad for parameter in block.parameters())]

    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = run()
        torch.set_num_threads(2)
        two = run()
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_cosine_weights_are_fixed():
    block = make_attention("fca", CH, T, freq_idx=2)
    expected = math.sqrt(2 / T) * np.cos(math.pi * 2 * (np.arange(T) + 0.5) / T)
    np.testing.assert_allclose(block.weight.numpy(), np.tile(expected, (CH, 1)), rtol=1e-6, atol=1e-7)
    assert "weight" in block.state_dict()
    assert "weight" not in dict(block.named_parameters())
