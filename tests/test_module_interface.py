"""What every network offers beside computing: configuration, files, a new head, a table of its layers."""

import inspect
import json

import mne
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from skeeg.modules import SSTDPN, AttentionBaseNet, EEGModule, FBLightConvNet, SincShallowNet

N_CHANS, N_OUTPUTS, N_TIMES, SFREQ = 5, 3, 250, 125.0

SMALL = {
    SSTDPN: {
        "n_fused_filters": 6,
        "temporal_conv_kernel_size": 15,
        "mvp_kernel_sizes": [20, 50],
        "spt_attn_global_context_kernel": 100,
        "proto_cpt_std": 0.5,
    },
    AttentionBaseNet: {"n_temporal_filters": 6, "ch_dim": 8, "attention_mode": "se", "activation": nn.GELU},
    SincShallowNet: {"num_time_filters": 4, "max_norm_dense": 0.5, "padding": "valid"},
    FBLightConvNet: {
        "n_bands": [(4, 8), (8.0, 12.0)],
        "win_len": 100,
        "activation": None,
        "filter_parameters": {"phase": "minimum", "l_trans_bandwidth": np.float64(2.0)},
    },
}


def make(cls, seed=0, **arguments):
    torch.manual_seed(seed)
    net = cls(N_CHANS, N_OUTPUTS, N_TIMES, sfreq=SFREQ, **{**SMALL[cls], **arguments})
    with torch.no_grad():  # statistics that are not those of a new network
        for buffer in net.buffers():
            if buffer.is_floating_point() and buffer.ndim == 1:
                buffer.add_(torch.rand_like(buffer))
    return net.eval()


def trials(n=4, seed=1, dtype=torch.float32):
    return torch.randn(n, N_CHANS, N_TIMES, generator=torch.Generator().manual_seed(seed)).to(dtype)


@pytest.fixture(params=SMALL, ids=lambda cls: cls.__name__)
def cls(request):
    return request.param


def test_features_and_logits_come_in_a_dict(cls):
    net = make(cls)
    out = net(trials(), return_features=True)
    assert out["features"].shape == (4, net.n_features)
    torch.testing.assert_close(out["logits"], net(trials()), rtol=0, atol=0)
    torch.testing.assert_close(out["logits"], net.forward_head(out["features"]), rtol=0, atol=0)


def test_shapes(cls):
    net = make(cls)
    assert net.input_shape == (1, N_CHANS, N_TIMES)
    assert net.get_output_shape() == tuple(net(torch.zeros(net.input_shape)).shape)


def test_input_shape_from_seconds_and_channels(cls):
    chs_info = [{"ch_name": f"E{i}"} for i in range(N_CHANS)]
    net = cls(n_outputs=2, input_window_seconds=2.0, sfreq=SFREQ, chs_info=chs_info, **SMALL[cls])
    assert net.input_shape == (1, N_CHANS, N_TIMES)


def test_config_is_complete_json_and_comes_back(cls):
    net = make(cls)
    config = json.loads(json.dumps(net.get_config(), allow_nan=False))
    assert list(config) == list(inspect.signature(cls).parameters)
    same = cls.from_config(config)
    assert same.get_config() == config
    assert same.activation is net.activation
    same.load_state_dict(net.state_dict())
    torch.testing.assert_close(same.eval()(trials()), net(trials()), rtol=0, atol=0)


def test_config_keeps_channel_info_of_mne(cls):
    info = mne.create_info(["C3", "Cz", "C4", "Pz", "nowhere"], SFREQ, "eeg")
    info.set_montage("biosemi64", on_missing="ignore")
    net = cls(n_outputs=2, n_times=N_TIMES, sfreq=SFREQ, chs_info=info["chs"], **SMALL[cls])
    again = cls.from_config(json.loads(json.dumps(net.get_config(), allow_nan=False)))
    for got, expected in zip(again.chs_info, info["chs"], strict=True):
        assert got["ch_name"] == expected["ch_name"]
        assert got["kind"] == int(expected["kind"])
        np.testing.assert_array_equal(got["loc"], expected["loc"])  # NaN where there is no position


def test_config_refuses_what_has_no_name():
    class Mine(nn.ELU):
        pass

    with pytest.raises(ValueError, match=r"activation=.*Mine.*torch\.nn"):
        make(SSTDPN, activation=Mine).get_config()


@pytest.mark.parametrize("name", ["os.system", "torch.nn.functional", "torch.load", "ELU", "torch.nn.Nope"])
def test_from_config_makes_activations_of_torch_nn_only(name):
    with pytest.raises(ValueError, match=r"activation='.*not the name of a class in torch\.nn"):
        SSTDPN.from_config(make(SSTDPN).get_config() | {"activation": name})


def test_from_config_names_unknown_arguments():
    with pytest.raises(ValueError, match="SSTDPN has no argument n_heads"):
        SSTDPN.from_config({"n_heads": 3})


def test_saved_network_comes_back(cls, tmp_path):
    net = make(cls)
    state = torch.random.get_rng_state()
    net.save_pretrained(tmp_path / "new" / "directory")
    same = cls.from_pretrained(tmp_path / "new" / "directory")
    torch.testing.assert_close(same(trials()), net(trials()), rtol=0, atol=0)
    assert not same.training
    assert torch.equal(torch.random.get_rng_state(), state)
    assert sorted(p.name for p in (tmp_path / "new" / "directory").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]


def test_saved_network_keeps_its_precision(cls, tmp_path):
    net = make(cls).double()
    net.save_pretrained(tmp_path)
    same = cls.from_pretrained(tmp_path)
    x = trials(dtype=torch.float64)
    torch.testing.assert_close(same(x), net(x), rtol=0, atol=0)
    assert cls.from_pretrained(tmp_path, n_outputs=2)(x).dtype == torch.float64


def test_another_number_of_classes_gets_a_new_head(cls, tmp_path):
    net = make(cls)
    net.save_pretrained(tmp_path)
    other = cls.from_pretrained(tmp_path, n_outputs=7)
    assert other.n_outputs == 7
    assert other(trials()).shape == (4, 7)
    expected = net.forward_features(trials())
    torch.testing.assert_close(other.forward_features(trials()), expected, rtol=0, atol=0)
    assert other.get_config()["n_outputs"] == 7
    other.save_pretrained(tmp_path)
    torch.testing.assert_close(cls.from_pretrained(tmp_path)(trials()), other(trials()), rtol=0, atol=0)


@pytest.mark.parametrize("n_outputs", [0, -2, 2.5, np.nan, np.inf, "3", None])
def test_impossible_numbers_of_classes_leave_the_head_alone(cls, n_outputs):
    net = make(cls)
    before = net(trials())
    with pytest.raises(ValueError, match=rf"n_outputs={n_outputs!r} must be a whole number of at least 1"):
        net.reset_head(n_outputs)
    assert net.n_outputs == N_OUTPUTS
    torch.testing.assert_close(net(trials()), before, rtol=0, atol=0)


def test_wrong_architecture_is_named(tmp_path):
    make(SSTDPN).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"holds a network SSTDPN; load it with SSTDPN\.from_pretrained"):
        SincShallowNet.from_pretrained(tmp_path)


def test_broken_directories_give_one_clear_error(cls, tmp_path):
    net = make(cls)
    net.save_pretrained(tmp_path)
    weights, config = tmp_path / "model.safetensors", tmp_path / "config.json"
    good = {path: path.read_bytes() for path in (weights, config)}
    fewer = dict(list(net.state_dict().items())[1:])
    for path, content, message in (
        (weights, good[weights][:-10], "does not hold a"),
        (weights, b"", "does not hold a"),
        (weights, None, "does not hold a"),  # a weight is missing
        (config, good[config][:-10], "not a configuration in JSON"),
        (config, b"[1, 2]", "not a configuration in JSON"),
        (config, b"\xff", "not a configuration in JSON"),
        (config, json.dumps(net.get_config() | {"n_chans": 9}).encode(), "does not hold a"),
        (config, json.dumps(net.get_config() | {"n_chans": "x"}).encode(), "does not hold a"),
        (config, json.dumps(net.get_config() | {"new_thing": 1}).encode(), "no argument new_thing"),
    ):
        if content is None:
            save_file(fewer, path)
        else:
            path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            cls.from_pretrained(tmp_path)
        path.write_bytes(good[path])
    cls.from_pretrained(tmp_path)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no file 'config\.json'"):
        SSTDPN.from_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError, match="neither a directory nor the name of a repository"):
        SSTDPN.from_pretrained(tmp_path / "not" / "there")


def test_frozen_encoder_stays_as_it_is(cls):
    net = make(cls).freeze_encoder().train()
    encoder = {
        name: tensor.clone()
        for name, tensor in net.state_dict().items()
        if not name.startswith(("final_layer", "proto_"))
    }
    trained = [p for p in net.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=1.0)
    before = [p.detach().clone() for p in trained]
    out = net(trials(), return_features=True)
    torch.testing.assert_close(out["features"], make(cls).forward_features(trials()))
    nn.functional.cross_entropy(out["logits"], torch.tensor([0, 1, 2, 0])).backward()
    optimizer.step()
    for name, tensor in encoder.items():
        assert torch.equal(net.state_dict()[name], tensor), name
    assert any(not torch.equal(p, old) for p, old in zip(trained, before, strict=True))


# ----- the table of layers: against counts of the plain composition -----------------------------------------


def plain_sstdpn(n_chans, n_times, k):
    conv, fusion = nn.Conv1d(1, 9, 75, padding=37), nn.Conv1d(9 * n_chans, 48, 1)

    def run(x):
        z = conv(x.reshape(n_chans, 1, n_times)).reshape(1, -1, n_times)
        fusion(z)
        return torch.zeros(1, 1072) @ torch.zeros(1072, k)

    return run


def plain_attention_base_net(n_chans, n_times, k):
    return nn.Sequential(
        nn.Conv2d(1, 40, (1, 25), padding=(0, 12), bias=False),
        nn.Conv2d(40, 40, (n_chans, 1), groups=40, bias=False),
        nn.AvgPool2d((1, 75), (1, 15)),
        nn.Conv2d(40, 16, 1, bias=False),
        nn.Conv2d(16, 16, (1, 15), padding=(0, 7), groups=16, bias=False),
        nn.Conv2d(16, 16, 1, bias=False),
        nn.AvgPool2d((1, 8), (1, 8)),
        nn.Flatten(),
        nn.Linear(112, k),
    )


def plain_sinc_shallow_net(n_chans, n_times, k):
    return nn.Sequential(
        nn.Conv2d(1, 32, (1, 33), padding=(0, 16), bias=False),
        nn.Conv2d(32, 64, (n_chans, 1), groups=32, bias=False),
        nn.AvgPool2d((1, 55), (1, 12)),
        nn.Flatten(),
        nn.Linear(64 * 79, k),
    )


@pytest.mark.parametrize(
    ("cls", "plain", "n_parameters"),
    [
        (SSTDPN, plain_sstdpn, 19_502),
        (AttentionBaseNet, plain_attention_base_net, 3_692),
        (SincShallowNet, plain_sinc_shallow_net, 21_892),
    ],
)
def test_table_counts_what_the_plain_composition_takes(cls, plain, n_parameters):
    net = cls(22, 4, 1000, sfreq=250)
    plain = plain(22, 1000, 4)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        plain(torch.zeros(1, 1, 22, 1000))
    lines = str(net).splitlines()
    total = next(line for line in lines if line.startswith("total")).split()
    assert total[1:] == [f"{n_parameters:,}", f"{counter.get_total_flops() // 2:,}"]


def test_table_of_sstdpn():
    table = str(SSTDPN(22, 4, 1000))
    rows = {line.split()[0]: line.split("  ") for line in table.splitlines() if line}
    assert [part.strip() for part in rows["encoder.chan_conv.0"] if part.strip()] == [
        "encoder.chan_conv.0",
        "(48, 1000)",
        "9,552",
        "9,504,000",
    ]
    # the paper's 9.65 M: the fusion with its bias, and two operations a sample of batch normalisation
    assert round((9_504_000 + 48_000 + 2 * 48_000 + 4_288) / 1e6, 2) == 9.65


@pytest.mark.parametrize("mode", [None, "se", "gsop", "fca", "encnet", "eca", "ge", "srm", "cbam", "cat"])
def test_table_covers_all_parameters(mode):
    net = AttentionBaseNet(22, 4, 1000, attention_mode=mode)
    statistics = [b.clone() for b in net.buffers()]
    rows = [line.split() for line in str(net).splitlines() if line.startswith(("input", "channel", "final"))]
    listed = sum(sum(p.numel() for p in net.get_submodule(row[0]).parameters()) for row in rows)
    assert listed == sum(p.numel() for p in net.parameters())
    assert all(torch.equal(a, b) for a, b in zip(statistics, net.buffers(), strict=True))


def test_last_shape_of_the_table_is_the_output(cls):
    net = make(cls)
    shapes = [shape for name, shape, _ in net._layers() if shape is not None]
    assert shapes[-1] == (N_OUTPUTS,)


def test_a_network_of_ones_own_has_a_table():
    class Mean(EEGModule):
        def __init__(self, n_chans=None, n_outputs=None, n_times=None):
            super().__init__(n_chans, n_outputs, n_times)
            self.final_layer = nn.Linear(n_chans, n_outputs)

        def forward_features(self, x):
            return x.mean(-1)

        def forward_head(self, features):
            return self.final_layer(features)

    table = str(Mean(4, 2, 10))
    assert "final_layer" in table
    assert "10" in table.splitlines()[-2]


@pytest.mark.parametrize("value", [10**6, 10**9])
@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (SSTDPN, "n_chans"),
        (SSTDPN, "n_outputs"),
        (AttentionBaseNet, "n_temporal_filters"),
        (SincShallowNet, "num_time_filters"),
        (FBLightConvNet, "n_filters_spat"),
    ],
)
def test_files_make_no_network_larger_than_their_tensors(cls, name, value, tmp_path):
    make(cls).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {name: value}))
    with pytest.raises(ValueError, match=r"more numbers than it holds|larger than any size"):
        cls.from_pretrained(tmp_path)
