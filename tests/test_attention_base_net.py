"""AttentionBaseNet against golden values, parameter counts, short windows and bad arguments."""

import json
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
