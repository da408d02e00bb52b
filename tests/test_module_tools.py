"""Networks under the tools of PyTorch: hooks, checkpoints, tracing, compiling, ensembles, meta devices."""

import copy
import inspect
import io
import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torch._dynamo.utils import counters
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.utils import prune
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

import skeeg
from skeeg.modules import SSTDPN, AttentionBaseNet, EEGModule, FBLightConvNet, SincShallowNet

N_CHANS, N_OUTPUTS, N_TIMES = 4, 3, 200
pytestmark = pytest.mark.filterwarnings("ignore:n_times=.* is shorter", "ignore::torch.jit.TracerWarning")

NETWORKS = [SSTDPN, AttentionBaseNet, SincShallowNet, FBLightConvNet]


@pytest.fixture(params=NETWORKS, ids=lambda cls: cls.__name__)
def network(request):
    return make(request.param)


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def make(cls, seed=0, **arguments):
    torch.manual_seed(seed)
    net = cls(N_CHANS, N_OUTPUTS, N_TIMES, sfreq=128.0, **arguments)
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return net


def trials(n=17, seed=1):
    return 10 * torch.randn(n, N_CHANS, N_TIMES, generator=torch.Generator().manual_seed(seed))


def gradients(net):
    return {name: p.grad for name, p in net.named_parameters() if p.grad is not None}


def test_one_file_asks_pytorch_what_it_is_doing():
    """So that a new PyTorch is one file's concern."""
    asks = re.compile(r"torch\._|torch\.(compiler|jit|onnx|is_grad|is_inf)|\._version\b(?! import)")
    package = Path(inspect.getfile(skeeg)).parent / "modules"
    found = [path for path in package.rglob("*.py") if asks.search(path.read_text(encoding="utf-8"))]
    assert found == [package / "compute" / "pytorch.py"]


def test_a_network_has_the_defaults_of_its_estimator(network):
    """Whose page alone says what they mean."""
    estimator = getattr(skeeg, f"{type(network).__name__}Classifier")
    ours = inspect.signature(type(network)).parameters
    theirs = inspect.signature(estimator).parameters
    of_data = {*inspect.signature(EEGModule).parameters, "return_features", "verbose"}
    assert set(ours) - of_data <= set(theirs)
    for name in set(ours) - of_data:
        assert ours[name].default == theirs[name].default, name


def test_checkpointing_changes_no_gradient(network):
    network.train()
    twin = copy.deepcopy(network)
    network(trials()).square().sum().backward()
    checkpoint(twin, trials(), use_reentrant=False).square().sum().backward()
    assert gradients(network).keys() == gradients(twin).keys()
    for name, expected in gradients(network).items():
        assert torch.equal(gradients(twin)[name], expected), name


def test_training_compiled(network):
    """The forward pass is compiled, what is written by hand of the backward pass may not be."""
    network.train()
    twin = copy.deepcopy(network)
    network(trials()).square().sum().backward()
    torch.compile(twin, backend="aot_eager")(trials()).square().sum().backward()
    for name, expected in gradients(network).items():
        tolerance = 1e-4 * expected.abs().max().item() + 1e-6
        torch.testing.assert_close(gradients(twin)[name], expected, rtol=1e-3, atol=tolerance)


@pytest.mark.parametrize("cls", [SSTDPN, FBLightConvNet])
def test_evaluation_follows_pruning(cls):
    """Which makes the weight anew from a parameter that stays what it was."""
    net = make(cls).eval()
    layer = net.encoder.chan_conv[0] if cls is SSTDPN else net.spatial_conv[0]
    for _ in range(3):
        prune.l1_unstructured(layer, "weight", 0.3)
        with torch.no_grad():
            got = net(trials())
        torch.testing.assert_close(got, net(trials()).detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_a_replaced_pooling_is_called_as_usual(training):
    class Wrapped(nn.Module):
        def __init__(self, pool):
            super().__init__()
            self.pool = pool

        def forward(self, x):
            return self.pool(x)

    net = make(SSTDPN).train(training)
    expected = net(trials())
    net.encoder.mvp = Wrapped(net.encoder.mvp)
    torch.testing.assert_close(net(trials()), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_jacobians(network, training):
    """Which take one backward pass for many gradients of the output, by vmap."""
    network.train(training)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.track_running_stats = not training  # torch.func allows no change of buffers
    x = trials(3).requires_grad_()
    jacobian = torch.func.jacrev(network)(x)
    for trial, output in ((0, 0), (2, 1)):
        (expected,) = torch.autograd.grad(network(x)[trial, output], x)
        torch.testing.assert_close(
            jacobian[trial, output], expected, rtol=1e-4, atol=1e-5 * expected.abs().max()
        )


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize(
    ("cls", "layer"),
    [
        (SSTDPN, "encoder.chan_conv.2"),
        (SSTDPN, "encoder.mvp"),
        (SincShallowNet, "temporal_aggregation.1"),
        (SincShallowNet, "temporal_aggregation.2"),
        (AttentionBaseNet, "input_block.activation"),
        (AttentionBaseNet, "input_block.pool"),
        (FBLightConvNet, "spatial_conv.2"),
    ],
)
def test_hooks_see_whole_batches_and_may_change_them(cls, layer, training, grad):
    net = make(cls).train(training)
    seen, factor = [], nn.Parameter(torch.tensor(2.0))

    def double(module, given, output):
        seen.append(len(output))
        return output * factor

    net.get_submodule(layer).register_forward_hook(double)
    with torch.set_grad_enabled(grad):
        logits = net(trials())
    assert seen == [17]
    if grad:
        logits.square().sum().backward()
        assert factor.grad.abs() > 0


@pytest.mark.parametrize("cls", [SSTDPN, FBLightConvNet])
def test_a_subclass_of_elu_is_called(cls):
    class Softplus(nn.ELU):
        def forward(self, x):
            return nn.functional.softplus(x)

    ours, theirs = make(cls, activation=Softplus), make(cls, activation=nn.Softplus)
    torch.testing.assert_close(ours(trials()), theirs(trials()))  # training, with new statistics
    torch.testing.assert_close(ours.eval()(trials()), theirs.eval()(trials()))


def test_half_precision_around_an_encoder_in_evaluation(network):
    network.eval()
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(trials())
    logits.float().square().sum().backward()
    half = gradients(network)
    network.zero_grad()
    network(trials()).square().sum().backward()
    for name, expected in gradients(network).items():
        assert (half[name] - expected).norm() <= 0.1 * expected.norm() + 1e-4, name


def test_a_network_from_the_meta_device(network):
    with torch.device("meta"):
        other = type(network).from_config(network.get_config())
    other.to_empty(device="cpu").load_state_dict(network.state_dict())
    assert torch.equal(other.eval()(trials()), network.eval()(trials()))


def test_ensembles_in_training(network):
    members = [make(type(network), seed=seed).train() for seed in range(3)]
    base = copy.deepcopy(members[0]).train()
    x, (parameters, buffers) = trials(), stack_module_state(members)
    logits = vmap(lambda *state: functional_call(base, state, (x,)), randomness="different")(
        parameters, buffers
    )
    for got, member in zip(logits, members, strict=True):
        torch.testing.assert_close(got, member(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_compiles_as_one_graph(network, training):
    torch._dynamo.reset()
    network.train(training)(trials())  # a filter bank is designed in the first call
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    with torch.set_grad_enabled(training):
        logits, expected = compiled(trials()), network(trials())
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)
    if training:
        parameters = list(network.parameters())
        for ours, plain in zip(
            torch.autograd.grad(logits.square().sum(), parameters, allow_unused=True),
            torch.autograd.grad(expected.square().sum(), parameters, allow_unused=True),
            strict=True,
        ):
            torch.testing.assert_close(ours, plain, rtol=1e-3, atol=1e-3)


def test_changing_momentum_makes_no_new_graph():
    """SincShallowNetClassifier changes it in each of the first hundred steps."""
    torch._dynamo.reset()
    counters["stats"].clear()
    net = make(SincShallowNet).train()
    compiled = torch.compile(net, backend="aot_eager")
    for step in range(6):
        for norm in (net.depthwiseconv[0], net.temporal_aggregation[0]):
            norm.momentum = 1 / (step + 1)
        compiled(trials())
    assert counters["stats"]["unique_graphs"] == 2  # the second knows that the number changes


def test_export_leaves_the_filter_bank_as_it_was():
    net = make(FBLightConvNet).eval()
    program = torch.export.export(net, (trials(2),))
    with torch.no_grad():
        torch.testing.assert_close(program.module()(trials(2)), net(trials(2)), rtol=1e-4, atol=1e-5)


def test_a_trace_of_many_trials_computes_them():
    net = make(FBLightConvNet).eval()
    with torch.no_grad():
        traced = torch.jit.trace(net, trials(), check_trace=False)
        torch.testing.assert_close(traced(trials(seed=2)), net(trials(seed=2)))


def test_modes_that_follow_operations_see_those_of_all_trials(network):
    """Modes belong to a thread: pieces in other threads would pass unseen."""

    def flops(n):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network.eval()(trials(n))
        return counter.get_total_flops()

    assert flops(64) - flops(48) == flops(48) - flops(32) == flops(32) - flops(16) > 0


def test_only_a_parameter_that_a_mode_does_not_use_is_trained():
    net = make(SSTDPN, spt_attn_mode="l2")
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(name in ("encoder.spt_attn.alpha", "proto_sep"))
    net(trials()).sum().backward()
    assert net.encoder.spt_attn.alpha.grad is None
    assert net.proto_sep.grad.abs().sum() > 0


def test_taps_are_theirs_who_ask():
    net = make(SincShallowNet).eval()
    with torch.inference_mode():
        before = net(trials())
    with torch.no_grad():
        taps = net.sinc_filter_layer()
        taps /= taps.abs().max()
        assert torch.equal(net(trials()), before)
    weight = torch.ones_like(taps, requires_grad=True)
    (weight * taps).sum().backward()
    assert torch.equal(weight.grad, taps)


@pytest.mark.parametrize("n_times", [128, 150, 175, 200])
@pytest.mark.parametrize("cls", NETWORKS)
def test_logits_do_not_depend_on_the_place_in_a_batch(cls, n_times):
    torch.manual_seed(0)
    net = cls(N_CHANS, N_OUTPUTS, n_times, sfreq=128.0, **({"win_len": 50} if cls is FBLightConvNet else {}))
    x = 10 * torch.randn(40, N_CHANS, n_times)
    order = torch.randperm(40)
    with torch.no_grad():
        assert torch.equal(net.eval()(x)[order], net(x[order]))


@pytest.mark.parametrize("offset", [0.0, 3000.0])
def test_gradients_under_a_common_offset(offset):
    """Without padding, millivolts that all electrodes share must not cost the gradients their digits."""
    net = make(SincShallowNet, padding="valid")
    exact = copy.deepcopy(net).double()
    x = trials() + offset
    net(x).square().sum().backward()
    exact(x.double()).square().sum().backward()
    for name, expected in gradients(exact).items():
        error = (gradients(net)[name] - expected).norm()
        assert error <= 1e-3 * expected.norm() + 1e-4, (name, error, expected.norm())


@pytest.mark.parametrize("n_traced", [1, 17])
@pytest.mark.parametrize("training", [True, False])
def test_a_trace_serves_any_number_of_trials(network, training, n_traced):
    network.train(training)
    with torch.set_grad_enabled(training):
        traced = torch.jit.trace(network, trials(n_traced), check_trace=False)
        for n in (2, 33):
            expected = copy.deepcopy(network)(trials(n, seed=2))
            torch.testing.assert_close(traced(trials(n, seed=2)), expected, rtol=1e-4, atol=1e-5)
    assert not any(buffer.requires_grad for buffer in network.buffers())


@pytest.mark.parametrize("training", [True, False])
def test_an_export_serves_any_number_of_trials(network, training):
    network.train(training)
    batch = torch.export.Dim("batch")
    program = torch.export.export(network, (trials(4),), dynamic_shapes=({0: batch},))
    expected = copy.deepcopy(network)(trials(7, seed=2))
    torch.testing.assert_close(program.module()(trials(7, seed=2)), expected, rtol=1e-4, atol=1e-5)


def test_no_trials(network):
    x = trials(0).requires_grad_()
    logits = network.eval()(x)
    assert logits.shape == (0, N_OUTPUTS)
    logits.sum().backward()
    assert x.grad.shape == x.shape
    assert all(p.grad is None or (p.grad == 0).all() for p in network.parameters())
    with torch.no_grad():
        assert network(x, return_features=True)["features"].shape == (0, network.n_features)
    with pytest.raises(ValueError, match=r"x holds no trials.*call network\.eval\(\) first"):
        network.train()(x)
    assert network.freeze_encoder().train()(x).shape == (0, N_OUTPUTS)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int16, torch.int64])
def test_types_of_trials(network, dtype, training):
    network.train(training)
    twin, x = copy.deepcopy(network), trials().to(dtype)
    torch.testing.assert_close(network(x).float(), twin(x.float()), rtol=1e-4, atol=1e-5)


def test_complex_trials_are_refused(network):
    with pytest.raises(TypeError, match=r"x holds complex numbers.*give real ones"):
        network(trials().to(torch.complex64))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("cls", [SSTDPN, AttentionBaseNet, SincShallowNet])
def test_weights_in_half_precision_are_refused(cls, dtype):
    with pytest.raises(TypeError, match=rf"weights' {dtype}.*network\.float\(\).*autocast"):
        make(cls).to(dtype)(trials())


@pytest.mark.parametrize("shape", [(3, N_CHANS, 150), (3, N_CHANS + 1, N_TIMES), (N_CHANS, N_TIMES)])
def test_trials_of_another_shape_are_refused(network, shape):
    with pytest.raises(ValueError, match="this network"):
        network(torch.zeros(shape))


@pytest.mark.parametrize("training", [True, False])
def test_tensors_without_values_have_shapes(network, training):
    network.train(training)
    fake = copy.deepcopy(network)
    with FakeTensorMode() as mode:
        for module in fake.modules():
            for tensors in (module._parameters, module._buffers):
                tensors.update({n: mode.from_tensor(t) for n, t in tensors.items() if t is not None})
        logits = fake(mode.from_tensor(trials(5)))
        logits.sum().backward()
    assert logits.shape == (5, N_OUTPUTS)
    assert network.to("meta")(trials(5).to("meta")).shape == (5, N_OUTPUTS)


def replace_norms(net, **settings):
    for name, module in list(net.named_modules()):
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            net.set_submodule(name, type(module)(module.num_features, eps=module.eps, **settings))


@pytest.mark.parametrize("training", [True, False])
def test_normalisation_without_affine(network, training):
    twin = copy.deepcopy(network)  # new, so that weights are 1 and biases 0
    replace_norms(twin, affine=False)
    torch.testing.assert_close(
        twin.train(training)(trials()), network.train(training)(trials()), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_normalisation_without_running_statistics(network, affine, grad):
    """Takes those of the batch, also in evaluation."""
    twin = copy.deepcopy(network)
    replace_norms(twin, affine=affine, track_running_stats=False)
    expected = network.train()(trials())
    with torch.set_grad_enabled(grad):
        torch.testing.assert_close(twin.eval()(trials()), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make_other", [nn.SyncBatchNorm, lambda n: nn.GroupNorm(1, n), nn.Identity])
def test_another_layer_in_the_place_of_a_normalisation_is_refused(network, make_other):
    kinds = nn.BatchNorm1d, nn.BatchNorm2d
    name, norm = next((name, m) for name, m in network.named_modules() if isinstance(m, kinds))
    other = make_other(norm.num_features)
    network.set_submodule(name, other)
    with pytest.raises(TypeError, match=f"a {type(other).__name__} stands in the place of a batch norm"):
        network(trials())


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_exporting_to_onnx_by_a_trace_names_the_way(network):
    with pytest.raises(RuntimeError, match=r"ONNX knows no Fourier.*skeeg\.export\.export_onnx"):
        torch.onnx.export(network.eval(), (trials(2),), io.BytesIO(), dynamo=False)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("strict", [False, True])
def test_exporting_to_onnx_by_a_graph_names_the_way(strict, monkeypatch):
    """The exporter asks for a graph in two ways, of which one takes PyTorch's own question for False."""
    monkeypatch.setattr(torch.onnx, "is_in_onnx_export", lambda: True)
    network = make(SSTDPN).eval()
    with pytest.raises(Exception, match=r"ONNX knows no Fourier.*skeeg\.export\.export_onnx"):
        torch.export.export(network, (trials(2),), strict=strict)
    assert network(trials(2)).shape[0] == 2  # what others compute meanwhile
