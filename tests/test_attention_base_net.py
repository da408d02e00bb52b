"""AttentionBaseNet against golden values, parameter counts, short windows and bad arguments."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from skeeg.modules.attention_base_net import AttentionBaseNet

GOLDEN = sorted((Path(__file__).parent / "data").glob("attentionbasenet_*.npz"))
META_KEYS = ("architecture", "x_seed", "x_shape", "x")


def load(path):
    with np.load(path) as file:
        golden = {key: file[key] for key in file.files}
    meta = json.loads(str(golden["meta"]))
    x = 10 * np.random.RandomState(meta["x_seed"]).standard_normal(meta["x_shape"])
    net = AttentionBaseNet(**{k: v for k, v in meta.items() if k not in META_KEYS}).double()
    net.load_state_dict({k[6:]: torch.as_tensor(v) for k, v in golden.items() if k.startswith("state/")})
    return net, torch.as_tensor(x), golden


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden(path):
    net, x, golden = load(path)
    net.eval()
    with torch.no_grad():
        np.testing.assert_allclose(net(x).numpy(), golden["logits_eval"], rtol=1e-9, atol=1e-9)
    net.train()
    logits = net(x)
    np.testing.assert_allclose(logits.detach().numpy(), golden["logits_train"], rtol=1e-9, atol=1e-9)
    F.cross_entropy(logits, torch.as_tensor(golden["y"])).backward()
    gradients = {name: parameter.grad for name, parameter in net.named_parameters()}
    state = net.state_dict()
    checked = 0
    for key, value in golden.items():
        kind, _, name = key.partition("/")
        if kind in ("grad", "after"):
            ours = gradients[name] if kind == "grad" else state[name]
            np.testing.assert_allclose(ours.numpy(), value, rtol=1e-9, atol=1e-9, err_msg=key)
            checked += 1
    assert checked >= 20


COUNTS = {
    None: 3692,
    "se": 3820,
    "gsop": 4120,
    "fca": 3820,
    "encnet": 4040,
    "eca": 3701,
    "ge": 3692,
    "gct": 3740,
    "srm": 3756,
    "cbam": 3839,
    "cat": 6132,
    "catlite": 3843,
}


@pytest.mark.parametrize("mode", COUNTS)
def test_parameter_count(mode):
    net = AttentionBaseNet(22, 4, 1000, attention_mode=mode)
    assert sum(p.numel() for p in net.parameters() if p.requires_grad) == COUNTS[mode]


@pytest.mark.parametrize("mode", COUNTS)
def test_a_batch_of_one_trains_and_constant_input_stays_finite(mode):
    net = AttentionBaseNet(3, 2, 250, attention_mode=mode)
    spike = torch.randn(1, 3, 250)
    spike[0, 0, 100] = 1e4
    for x in (torch.zeros(1, 3, 250), torch.full((1, 3, 250), 7.0), spike):
        net.zero_grad()
        F.cross_entropy(net(x), torch.tensor([1])).backward()
        for name, parameter in net.named_parameters():
            assert torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize("n_chans", [1, 128])
@pytest.mark.parametrize(("seconds", "sfreq"), [(0.5, 100), (0.5, 512), (3, 128), (10, 250)])
@pytest.mark.filterwarnings("ignore:n_times=.*scaled down")
def test_windows_of_any_size(n_chans, seconds, sfreq):
    n_times = int(seconds * sfreq)
    net = AttentionBaseNet(n_chans, 3, n_times, attention_mode="cat")
    out = net(torch.randn(2, n_chans, n_times), return_features=True)
    assert out["logits"].shape == (2, 3)
    assert out["features"].shape == (2, net.n_features)


@pytest.mark.parametrize("mode", ["fca", "ge", "cat"])
def test_even_filters(mode):
    """Even lengths make one sample more; the attention block and the classifier expect it."""
    net = AttentionBaseNet(
        3, 2, 400, attention_mode=mode, extra_params=True, temp_filter_length=14, temp_filter_length_inp=24
    )
    conv, pool = net.channel_attention_block.conv, net.input_block.pool
    x = torch.randn(2, 3, 400)
    z = F.conv1d(x[:, :1], net.input_block.temporal_conv.weight[:, 0], padding=12)
    pooled = F.conv1d(pool(z)[:, :16], conv[0].weight[:, :, 0], padding=7, groups=16)
    net.train()
    F.cross_entropy(net(x), torch.tensor([0, 1])).backward()
    assert net.n_features == 16 * ((pooled.shape[2] - 8) // 8 + 1)


@pytest.mark.parametrize("filter_length", [14, 15, 41])
def test_second_convolution_is_a_depthwise_convolution(filter_length):
    torch.manual_seed(0)
    net = AttentionBaseNet(3, 2, 400, temp_filter_length=filter_length).double().eval()
    block = net.channel_attention_block
    x = torch.randn(2, 16, 22, dtype=torch.double)
    depthwise, pointwise, norm, activation = block.conv
    z = F.conv1d(x, depthwise.weight[:, :, 0], padding=filter_length // 2, groups=16)
    z = activation(norm(pointwise(z.unsqueeze(2)))).squeeze(2)
    torch.testing.assert_close(block(x), F.avg_pool1d(z, 8, 8))


def test_short_windows_warn():
    with pytest.warns(UserWarning, match="pool_length_inp 75 -> "):
        AttentionBaseNet(3, 2, 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        AttentionBaseNet(3, 2, 180)  # just fits


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"attention_mode": "sea"}, "attention_mode='sea'.*catlite"),
        ({"attention_mode": "eca", "kernel_size": 4}, "kernel_size=4"),
        ({"attention_mode": "se", "reduction_rate": 17}, "reduction_rate=17"),
        ({"attention_mode": "fca", "freq_idx": 99}, "freq_idx=99"),
        ({"ch_dim": 0}, "ch_dim=0"),
        ({"pool_length": 2.5}, "pool_length=2.5"),
        ({"drop_prob_inp": 1.5}, "drop_prob_inp=1.5"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        AttentionBaseNet(3, 2, 400, **arguments)


def test_reset_head_keeps_the_encoder():
    net = AttentionBaseNet(3, 2, 400).eval()
    x = torch.randn(2, 3, 400)
    features = net(x, return_features=True)["features"]
    net.reset_head(5)
    out = net(x, return_features=True)
    assert net.n_outputs == 5 and out["logits"].shape == (2, 5)
    assert torch.equal(out["features"], features)


@pytest.mark.parametrize("activation", [None, torch.nn.ReLU, torch.nn.Tanh, torch.nn.PReLU])
def test_any_activation(activation):
    net = AttentionBaseNet(3, 2, 400, activation=activation)
    x = torch.randn(2, 3, 400, requires_grad=True)
    net(x).sum().backward()
    assert x.grad.abs().sum() > 0
    assert all(parameter.grad is not None for parameter in net.parameters())
