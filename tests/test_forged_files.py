"""Whoever made a file: what it says is what fit could have left, or it is refused with its name."""

import copy
import random
import re
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from forging import forge

from skeeg.persistence import from_bytes, to_bytes

FILES = {
    path.stem.partition("_")[2]: path
    for path in sorted((Path(__file__).parent / "data").glob("format1_*.safetensors"))
}
MB = 2**20


def content(name):
    """A file in the present format."""
    return to_bytes(from_bytes(FILES[name].read_bytes()))


@pytest.fixture(scope="module")
def good():
    return {name: content(name) for name in FILES}


def load(data):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return from_bytes(data, name="some.file")


def peak():
    """Most memory that this process ever took, in bytes."""
    resource = pytest.importorskip("resource")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def use(estimator):
    """Let an estimator compute; get what it computes."""
    first = estimator[0] if hasattr(estimator, "steps") else estimator
    X = 10 * np.random.default_rng(1).standard_normal((3, first.n_chans_, first.n_times_)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not hasattr(estimator, "predict"):
            return estimator.transform(X)
        assert np.isin(estimator.predict(X), estimator.classes_).all()
        return estimator.predict_proba(X)


# ----- anything at all ------------------------------------------------------------------------------------

VALUES = [
    *(
        None,
        True,
        -1,
        0,
        1,
        2,
        1000,
        3_000_000,
        2**62,
        10**30,
        0.0,
        -0.5,
        0.5,
        1e300,
        "x",
        "auto",
        "meta",
        [],
        {},
    ),
    *(
        ["y"],
        [1, 2],
        {"tuple": []},
        {"dict": [["a", 1]]},
        {"dict": [[[], 1]]},
        {"float": "nan"},
        {"float": "1"},
    ),
    *({"tensor": "0"}, {"array": {}}, {"class": "os.system"}, {"class": "torch.nn.Transformer"}),
    *({"class": "torch.optim.SGD"}, {"class": "torch.utils.data.DataLoader"}, {"device": "meta"}),
    {"object": "skeeg.Scaler", "params": {}, "learned": {}},
    {"object": "sklearn.pipeline.Pipeline", "params": {"steps": []}, "learned": {}},
    {"RandomState": {"tuple": ["MT19937", 1, 2, 3, 4]}},
]
NAMES = [
    "memory",
    "predict",
    "device_",
    "__class__",
    "__dict__",
    "fit",
    "_learned",
    "classes_",
    "compile",
    "n_bands",
]


def slots(node, found):
    for key in node if isinstance(node, dict) else range(len(node)):
        found.append((node, key))
        if isinstance(node[key], (dict, list)):
            slots(node[key], found)
    return found


def mutated(data, rng):
    """A file with one thing changed: a value, a name, a place, a number, or the bytes of tensors."""

    def change(document):
        places = slots(document["estimator"], [])
        (node, key), (other, there), how = rng.choice(places), rng.choice(places), rng.random()
        if how < 0.6:
            node[key] = copy.deepcopy(rng.choice(VALUES))
        elif how < 0.7:
            del node[key]
        elif how < 0.8 and isinstance(node, dict):
            node[rng.choice(NAMES)] = copy.deepcopy(rng.choice(VALUES))
        elif how < 0.9 and type(node[key]) in (int, float):
            node[key] *= rng.choice([-1, 0.5, 2, 10, 10**6])
        else:
            node[key] = copy.deepcopy(other[there])

    def replace(tensors):
        start = rng.randrange(len(tensors))
        stop = min(len(tensors), start + rng.choice([1, 4, 64, 1024]))
        filling = rng.choice([b"\0", b"\xff", b"\xff\xff\x7f\x7f", None])
        for place in range(start, stop):
            tensors[place] = filling[place % len(filling)] if filling else rng.randrange(256)

    has_tensors = int.from_bytes(data[:8], "little") + 8 < len(data)
    return forge(data, replace=replace) if has_tensors and rng.random() < 0.25 else forge(data, change)


@pytest.mark.parametrize("name", FILES)
def test_any_change_gives_something_sane_or_a_value_error_that_names_the_file(good, name):
    refused, before = 0, None
    for seed in range(40):
        data = mutated(good[name], random.Random(seed))
        try:
            estimator = load(data)
        except ValueError as error:
            assert str(error).startswith("some.file "), seed
            refused += 1
        else:
            assert np.isfinite(use(estimator)).all(), seed
        before = before or peak()  # the first one imports what filters need
    assert refused > 10
    assert peak() - before < 200 * MB


# ----- one thing each -------------------------------------------------------------------------------------


def change_at(path, value):
    """Change the description of an estimator at a path of keys; a missing last key is added."""

    def change(document):
        node = document["estimator"]
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = value

    return change


@pytest.mark.parametrize("name", ["n_chans_", "n_times_"])
@pytest.mark.parametrize("file", ["sstdpn", "attentionbasenet", "sincshallownet", "fblightconvnet"])
def test_sizes_are_not_believed_before_the_tensors_are_seen(good, file, name):
    def change(document):
        entry = document["estimator"]
        entry["learned"][name] = 3_000_000
        entry["learned"]["n_features_in_"] = 3_000_000 * (120 if name == "n_chans_" else 3)
        if name == "n_chans_":
            entry["learned"]["ch_names_"] = None

    before = peak()
    with pytest.raises(ValueError, match=r"more numbers than it holds|where the parameters want"):
        load(forge(good[file], change))
    assert peak() - before < 200 * MB


@pytest.mark.parametrize(
    ("file", "name", "value"),
    [
        ("sstdpn", "n_fused_filters", 999_996),
        ("sstdpn", "n_spectral_filters_temporal", 10**6),
        ("sstdpn", "temporal_conv_kernel_size", 10**9),
        ("attentionbasenet", "n_temporal_filters", 10**6),
        ("sincshallownet", "num_time_filters", 10**9),
        ("sstdpn", "criterion__prototype_shape", {"tuple": [50_000, 50_000]}),
        ("fblightconvnet", "n_bands", 10**9),
        ("fblightconvnet", "n_bands", [{"tuple": [1e-9, 8.0]}]),
        ("fblightconvnet", "filter_parameters", {"dict": [["filter_length", 10**9]]}),
        ("fblightconvnet", "n_filters_spat", 8 * 10**5),
    ],
)
def test_parameters_take_no_memory_for_networks_that_are_not_there(good, file, name, value):
    before = peak()
    with pytest.raises(ValueError, match=r"some\.file cannot be loaded"):
        load(forge(good[file], change_at(["params", name], value)))
    assert peak() - before < 200 * MB


@pytest.mark.parametrize(
    "name",
    [
        "memory",
        "predict",
        "device_",
        "module_",
        "fit",
        "__class__",
        "__dict__",
        "_learned",
        "classes_",
        "other_",
    ],
)
@pytest.mark.parametrize("file", ["sstdpn", "transformers"])
def test_nothing_is_learned_that_the_class_does_not_list(good, file, name):
    def change(document):
        entry = document["estimator"]
        if entry["object"].startswith("sklearn."):
            entry = entry["params"]["steps"][0]["tuple"][1]
        entry["learned"][name] = "x"

    if name in ("device_", "module_"):  # made anew; files of format 1 held the first
        same = load(forge(good[file], change))
        assert vars(same[0] if file == "transformers" else same).get(name) != "x"
    else:
        with pytest.raises(ValueError, match=f"some.file cannot be loaded: .* does not learn '{name}'"):
            load(forge(good[file], change))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("max_epochs", "x", "'max_epochs' parameter"),
        ("max_epochs", 10**30, "more than 64 bits"),
        ("lr", -1.0, "'lr' parameter"),
        ("random_state", {"float": "nan"}, "'random_state' parameter"),
        ("no_such", 1, "has no parameter 'no_such'"),
        ("optimizer__no_such", 1, "no_such"),
        ("optimizer__betas", "x", ""),
        ("lr_schedule__no_such", 1, "no_such"),
        ("class_weight", {"dict": [["middle", 1.0]]}, "middle"),
        ("iterator_train", {"class": "torch.nn.ReLU"}, "iterator_train=ReLU does not iterate"),
        ("iterator_train__collate_fn", "x", "it sets iterator_train__collate_fn"),
        ("activation", {"class": "torch.nn.Transformer"}, ""),
        ("augmentation", [{"class": "skeeg.TimeShift"}], "augmentation holds"),
        ("train_split", {"object": "sklearn.model_selection.KFold", "params": {}}, ""),
    ],
)
def test_parameters_are_validated_as_fit_does(good, name, value, message):
    with pytest.raises(ValueError, match=rf"some\.file cannot be loaded: .*{re.escape(message)}"):
        load(forge(good["sstdpn"], change_at(["params", name], value)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("device", "meta"),
        ("device", "cuda"),
        ("compile", True),
        ("compile__options", {"dict": [["cpp.cxx", {"tuple": ["touch", "pwned"]}]]}),
        ("verbose", 3),
        ("callbacks", [{"object": "os.system"}]),
        ("callbacks__epoch_timer", None),
        ("pretrained", "user/repository"),
        ("iterator_train__num_workers", 1000),
    ],
)
def test_how_an_estimator_is_run_is_not_taken_from_a_file(good, name, value):
    same = load(forge(good["sstdpn"], change_at(["params", name], value)))
    fresh = type(same)()
    assert getattr(same, name, None) == getattr(fresh, name, None)
    assert (name in same.get_params()) == (name in fresh.get_params())
    assert same.device_.type == ("cuda" if torch.cuda.is_available() else same.device_.type)
    use(same)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("n_features_in_", 361, r"is 361, not n_chans_ \* n_times_ = 360"),
        ("n_chans_", True, "not a whole number"),
        ("n_chans_", 0, "not a whole number"),
        ("sfreq_", -100.0, "out of its range"),
        ("sfreq_", {"float": "inf"}, "out of its range"),
        ("sfreq_", "100", "not a number"),
        ("ch_names_", {"tuple": ["C3", "Cz"]}, "holds 2 different names, not 3"),
        ("ch_names_", {"tuple": ["C3", "Cz", "Cz"]}, "holds 2 different names, not 3"),
        ("ch_names_", ["C3", "Cz", "C4"], "is no tuple of names"),
        ("scale_", -1.0, "out of its range"),
        ("best_epoch_", 1.5, "not a whole number"),
        ("channel_map_", 3, "is no array of float32"),
    ],
)
def test_what_was_learned_is_what_fit_could_learn(good, name, value, message):
    with pytest.raises(
        ValueError, match=rf"some\.file cannot be loaded: SSTDPNClassifier\.{name} .*{message}"
    ):
        load(forge(good["sstdpn"], change_at(["learned", name], value)))


@pytest.mark.parametrize("name", ["n_chans_", "classes_inferred_", "scale_", "best_epoch_"])
def test_all_that_fit_learns_is_there(good, name):
    def change(document):
        del document["estimator"]["learned"][name]

    with pytest.raises(ValueError, match=f"SSTDPNClassifier lacks '{name}'"):
        load(forge(good["sstdpn"], change))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["right", "left"], "not sorted"),
        (["left", "left"], "not sorted, or twice"),
        (["left"], "no row of at least two"),
        (["left", 1], "neither all texts nor all numbers"),
        ([0.5, {"float": "nan"}], "neither all texts nor all numbers"),
    ],
)
def test_classes_are_sorted_and_different(good, labels, message):
    value = {"array": {"shape": [len(labels)], "objects": labels}}
    with pytest.raises(ValueError, match=message):
        load(forge(good["sstdpn"], change_at(["learned", "classes_inferred_"], value)))


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (0, "PCG64", "is 'PCG64'"),
        (2, 625, "is 625"),
        (2, -1, "is -1"),
        (3, 2, "is 2"),
        (4, {"float": "nan"}, "out of its range"),
        (1, [1, 2], "no array of uint32"),
    ],
)
def test_states_of_random_generators_are_possible(good, place, value, message):
    path = ["params", "random_state", "RandomState", "tuple", place]
    with pytest.raises(ValueError, match=message):
        load(forge(good["sstdpn"], change_at(path, value)))
    load(forge(good["sstdpn"], change_at([*path[:-1], 2], 624)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_at(["state", "module"], {"dict": []}), "does not have the same"),
        (change_at(["state", "module", "dict", 0, 1], {"tensor": "1"}), "where the parameters want"),
        (change_at(["state", "module", "dict", 0, 1], 1.0), "is float, where the parameters want"),
        (change_at(["state", "optimizer", "dict", 1, 1], []), "that of another one"),
        (change_at(["state", "optimizer", "dict", 0, 1, "dict", 0, 1], {"dict": []}), "the optimizer holds"),
        (change_at(["state", "optimizer", "dict", 1, 1, 0, "dict", 0, 1], "x"), "is no option of NAdam"),
        (change_at(["history"], [{"dict": [["epoch", 1]]}]), "without number or loss"),
        (
            change_at(["history"], [{"dict": [["epoch", 1], ["train_loss", {"class": "skeeg.Scaler"}]]}]),
            "history holds",
        ),
        (change_at(["requests"], {"__class__": {}}), "requests metadata for '__class__'"),
    ],
)
def test_states_fit_the_network(good, change, message):
    with pytest.raises(ValueError, match=message):
        load(forge(good["sstdpn"], change))


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([], "have names"),
        ("x", "are pairs"),
        ([{"tuple": ["a__b", None]}], "have names"),
        ([{"tuple": ["a", None]}, {"tuple": ["a", None]}], "different names"),
        ([{"tuple": ["a", {"object": "skeeg.TimeShift", "params": {}, "learned": {}}]}], "no fit in it"),
    ],
)
def test_steps_of_a_pipeline_are_named_estimators(good, steps, message):
    with pytest.raises(ValueError, match=message):
        load(forge(good["pipeline"], change_at(["params", "steps"], steps)))


def test_text_of_characters_that_there_are_not(good):
    from skeeg.persistence.format import unpack

    description, _ = unpack(good["attentionbasenet"], "")
    array = description["learned"]["classes_inferred_"]["array"]
    assert array["dtype"] == "<U5"

    def replace(tensors):
        start = tensors.index("left".encode("utf-32-le"))
        tensors[start : start + 4] = b"\xff\xff\xff\xff"

    with pytest.raises(ValueError, match="characters that there are not"):
        load(forge(good["attentionbasenet"], replace=replace))


@pytest.mark.parametrize("format", [0, -1, 1.5, True, "2", None, [2]])
def test_formats_that_there_are_not(good, format):
    def change(document):
        document["format"] = format

    with pytest.raises(ValueError, match=r"some\.file cannot be loaded: it is of the format"):
        load(forge(good["sstdpn"], change))
