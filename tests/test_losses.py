"""The dual prototype loss against its formula in numpy, and the golden terms."""

import json
import pathlib

import numpy as np
import pytest
import torch

from skeeg.modules.losses import DualPrototypeLoss

GOLDEN = sorted((pathlib.Path(__file__).parent / "data").glob("sstdpn_*.npz"))


def trial_terms(outputs, target, class_weight, smoothing):
    """Separation and compactness of each trial, with its class weight, and that weight."""
    features, logits, prototypes = (
        outputs[key].detach().numpy() for key in ("features", "logits", "proto_cpt")
    )
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    separation, compactness = [], []
    for i, label in enumerate(target):
        goal = np.full(log_p.shape[1], smoothing / log_p.shape[1])
        goal[label] += 1 - smoothing
        separation.append(-(goal * class_weight * log_p[i]).sum())
        d = np.abs(features[i] - prototypes[label])
        compactness.append(class_weight[label] * np.where(d < 1, d**2 / 2, d - 0.5).sum())
    return np.array(separation), np.array(compactness), class_weight[target]


def explicit_force(outputs):
    return -np.sqrt((outputs["proto_cpt"].detach().numpy() ** 2).sum(1)).mean()


@pytest.fixture
def outputs():
    rng = np.random.RandomState(0)
    shapes = {"features": (6, 8), "logits": (6, 3), "proto_cpt": (3, 8)}
    return {key: torch.tensor(2 * rng.standard_normal(shape)) for key, shape in shapes.items()}


TARGET = torch.tensor([0, 2, 1, 1, 0, 2])


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("class_weight", [None, [0.5, 1.0, 3.0]])
def test_equals_its_formula(outputs, class_weight, smoothing):
    tensor = None if class_weight is None else torch.tensor(class_weight, dtype=torch.float64)
    weight = np.array(class_weight or [1.0, 1.0, 1.0])
    separation, compactness, trial_weight = trial_terms(outputs, TARGET.numpy(), weight, smoothing)
    force = explicit_force(outputs)
    trials = separation + 0.3 * compactness
    expected = {
        "mean": trials.sum() / trial_weight.sum() + 0.7 * force,
        "sum": (trials + 0.7 * force).sum(),
        "none": trials + 0.7 * force,
    }
    for reduction, value in expected.items():
        loss = DualPrototypeLoss(0.3, 0.7, tensor, smoothing, reduction)
        np.testing.assert_allclose(loss(outputs, TARGET).numpy(), value, rtol=1e-12)
    terms = loss.terms(outputs, TARGET)
    np.testing.assert_allclose(terms["separation"], separation.sum() / trial_weight.sum(), rtol=1e-12)
    np.testing.assert_allclose(terms["compactness"], compactness.sum() / trial_weight.sum(), rtol=1e-12)
    np.testing.assert_allclose(terms["explicit_force"], force, rtol=1e-12)


def test_unweighted_mean_of_trials_is_the_loss(outputs):
    none, mean = DualPrototypeLoss(reduction="none"), DualPrototypeLoss()
    torch.testing.assert_close(none(outputs, TARGET).mean(), mean(outputs, TARGET))


def test_gradients_reach_features_logits_and_prototypes(outputs):
    criterion = DualPrototypeLoss(0.3, 0.7, torch.tensor([1.0, 2.0, 0.5]).double())

    def loss(features, logits, prototypes):
        return criterion({"features": features, "logits": logits, "proto_cpt": prototypes}, TARGET[:3])

    values = outputs["features"][:3, :4], outputs["logits"][:3], outputs["proto_cpt"][:, :4]
    assert torch.autograd.gradcheck(loss, [value.clone().requires_grad_() for value in values])


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_terms(path):
    golden = np.load(path)
    meta = json.loads(str(golden["meta"]))
    target = torch.as_tensor(golden["y"])
    outputs = {
        "features": torch.as_tensor(golden["features_train"]),
        "logits": torch.as_tensor(golden["logits_train"]),
        "proto_cpt": torch.as_tensor(golden["state/proto_cpt"]).requires_grad_(),
    }
    criterion = DualPrototypeLoss(meta["compactness_weight"], meta["explicit_force_weight"])
    loss = criterion(outputs, target)
    np.testing.assert_allclose(loss.item(), golden["loss_total"], rtol=1e-12)
    for name, value in criterion.terms(outputs, target).items():
        np.testing.assert_allclose(value.item(), golden[f"loss_{name}"], rtol=1e-12)
    loss.backward()
    np.testing.assert_allclose(outputs["proto_cpt"].grad, golden["grad/proto_cpt"], atol=1e-12)


def test_prototypes_at_the_origin_have_a_finite_gradient(outputs):
    outputs["proto_cpt"] = torch.zeros(3, 8, dtype=torch.float64, requires_grad=True)
    outputs["features"] = torch.zeros(6, 8, dtype=torch.float64)
    DualPrototypeLoss()(outputs, TARGET).backward()
    assert torch.equal(outputs["proto_cpt"].grad, torch.zeros(3, 8, dtype=torch.float64))


def test_own_prototypes_for_a_network_without(outputs):
    torch.manual_seed(0)
    criterion = DualPrototypeLoss(prototype_shape=(3, 8), proto_cpt_std=0.5).double()
    assert [name for name, _ in criterion.named_parameters()] == ["proto_cpt"]
    assert 0.3 < criterion.proto_cpt.std() < 0.7
    given = {**outputs, "proto_cpt": criterion.proto_cpt}
    plain = {key: outputs[key] for key in ("features", "logits")}
    torch.testing.assert_close(criterion(plain, TARGET), DualPrototypeLoss()(given, TARGET))
    # the network's prototypes come first
    torch.testing.assert_close(criterion(outputs, TARGET), DualPrototypeLoss()(outputs, TARGET))


def test_own_prototypes_are_learned(outputs):
    criterion = DualPrototypeLoss(compactness_weight=1.0, prototype_shape=(3, 8)).double()
    plain = {key: outputs[key] for key in ("features", "logits")}
    optimizer = torch.optim.SGD(criterion.parameters(), lr=0.5)
    before = criterion.terms(plain, TARGET)["compactness"].item()
    for _ in range(20):
        optimizer.zero_grad()
        criterion(plain, TARGET).backward()
        optimizer.step()
    assert criterion.terms(plain, TARGET)["compactness"].item() < 0.8 * before


def test_no_prototypes_anywhere_says_what_to_do(outputs):
    del outputs["proto_cpt"]
    with pytest.raises(ValueError, match=r"prototype_shape=\(3, 8\)"):
        DualPrototypeLoss()(outputs, TARGET)


def test_bare_logits_say_what_to_do(outputs):
    with pytest.raises(ValueError, match=r"got Tensor; .*return_features=True"):
        DualPrototypeLoss()(outputs["logits"], TARGET)
    with pytest.raises(ValueError, match=r"got \['logits'\]"):
        DualPrototypeLoss()({"logits": outputs["logits"]}, TARGET)


@pytest.mark.parametrize(
    "bad",
    [
        {"compactness_weight": -1.0},
        {"explicit_force_weight": -1e-5},
        {"label_smoothing": 1.5},
        {"reduction": "median"},
        {"proto_cpt_std": -0.1},
    ],
)
def test_bad_arguments_are_named(bad):
    ((name, value),) = bad.items()
    with pytest.raises(ValueError, match=f"{name}={value!r}"):
        DualPrototypeLoss(**bad)


def test_gradients_do_not_depend_on_the_number_of_threads():
    threads = torch.get_num_threads()
    torch.manual_seed(0)
    features, logits, target = torch.randn(64, 1072), torch.randn(64, 4), torch.randint(0, 4, (64,))
    gradients = []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            prototypes = torch.ones(4, 1072, requires_grad=True)
            outputs = {"features": features, "logits": logits, "proto_cpt": prototypes}
            DualPrototypeLoss()(outputs, target).backward()
            gradients.append(prototypes.grad)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*gradients)
