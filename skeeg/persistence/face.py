"""What estimators with a network inherit: saving, sharing, pickling."""

from __future__ import annotations

import io
from functools import partial

import torch
from skorch.callbacks import Callback
from torch.nn.utils.parametrize import is_parametrized
from torch.serialization import default_restore_location

from skeeg.devices import resolve_device
from skeeg.persistence.hashing import held_by, is_hashing
from skeeg.persistence.hub import push_to_hub
from skeeg.persistence.reading import from_bytes
from skeeg.persistence.registry import Kept
from skeeg.persistence.saving import save
from skeeg.persistence.writing import to_bytes

_PARTS = ("module", "criterion", "optimizer")


class Savable(Kept, registered=False):
    """Base of skorch nets that are saved, shared and pickled.

    Two ways lead to the state of an object, and do not meet. Files that need not be trusted, those of skeeg
    and of skops, are read by :mod:`skeeg.persistence.reading`, whoever asks. Pickle, which runs what a file
    says, makes objects by a function of its own; what has to be unpickled onto another device is unpickled
    by ``torch.load``, which the pickle itself names: nothing of skeeg hands bytes to a pickle.
    """

    _loaders_choice = ("callbacks", "compile", "device", "pretrained", "verbose")

    def save(self, path) -> None:
        """Save to one file, for :func:`skeeg.load`; see :func:`skeeg.save`.

        Parameters
        ----------
        path : str or os.PathLike
            The file; replaced atomically where it exists.
        """
        save(self, path)

    def push_to_hub(self, repo_id, **options) -> str:
        """Share on the Hugging Face Hub, for :func:`skeeg.from_pretrained`; see :func:`skeeg.push_to_hub`.

        Parameters
        ----------
        repo_id : str
            Name of the repository, "user/name".
        **options
            ``data``, ``score``, ``private``, ``token``, ``commit_message``.

        Returns
        -------
        str
            Address of the commit.
        """
        return push_to_hub(self, repo_id, **options)

    def load_params(self, *args, **kwargs):
        """Load what skorch's ``save_params`` or ``Checkpoint`` wrote, as skorch does."""
        wanted, self.device = self.device, str(self.device_)  # skorch knows no "auto"
        try:
            super().load_params(*args, **kwargs)
        finally:
            self.device = wanted

    def _check_loaded(self):
        for name in ("iterator_train", "iterator_valid"):
            value = getattr(self, name)
            if isinstance(value, type) and issubclass(value, (torch.nn.Module, torch.optim.Optimizer)):
                raise ValueError(f"{name}={value.__name__} does not iterate over trials")
            options = {key for key in vars(self) if key.startswith(f"{name}__")}
            unknown = options - {f"{name}__{option}" for option in ("batch_size", "drop_last", "shuffle")}
            if unknown:
                raise ValueError(f"it sets {', '.join(sorted(unknown))}")

    # ----- pickling ---------------------------------------------------------------------------------------

    def __getstate__(self):
        # for skops, which keeps bytes but neither tensors nor modules; pickle goes through __reduce_ex__
        return {"saved": to_bytes(self)}

    def __setstate__(self, state):
        if vars(self).pop("_from_pickle", False):
            states = state.pop("_states", None)
            vars(self).update(state)
            if self.initialized_ and "device_" not in state:
                self.device_ = resolve_device("auto")
            if states is not None:
                self._make_again(states)
            return
        if set(state) != {"saved"}:
            raise ValueError(
                f"the state of a {type(self).__name__} is the content of a file of skeeg.save, 'saved'; it "
                f"holds {sorted(map(str, state))}"
            )
        found = from_bytes(state["saved"], [type(self)], f"the state of a {type(self).__name__}")
        if type(found) is not type(self):
            raise ValueError(f"the state of a {type(self).__name__} holds a {type(found).__name__}")
        vars(self).update(vars(found))

    def __reduce_ex__(self, protocol):
        if is_hashing():
            return _awaiting_state, (type(self),), held_by(self)
        state = {name: value for name, value in vars(self).items() if name != "_compiled"}
        if self.initialized_ and any(map(is_parametrized, self.module_.modules())):  # torch pickles none
            made = [name for name in _PARTS if f"{name}_" in state]
            state["_states"] = {name: state.pop(f"{name}_").state_dict() for name in made}
        if self.initialized_ and self.device_.type != "cpu":
            del state["device_"]
            state = _OnDevice(state)
        elif _is_elsewhere(state):  # a loss or a callback that was made on a device
            state = _OnDevice(state)
        return _awaiting_state, (type(self),), state

    def _make_again(self, states):
        """Make network, loss and optimiser of the parameters, and give them their states."""
        with torch.random.fork_rng(devices=[]):  # initial weights are drawn, and replaced
            for name in states:
                with self._current_init_context(name):
                    getattr(self, f"initialize_{name}")()
                getattr(self, f"{name}_").load_state_dict(states[name])
        self.module_.eval()


def _awaiting_state(cls):
    """Make an object that takes its attributes from a pickle."""
    made = cls.__new__(cls)
    made._from_pickle = True
    return made


def _is_elsewhere(value):
    """Tell whether tensors are not in this machine's own memory."""
    if isinstance(value, torch.Tensor):
        return value.device.type != "cpu"
    if isinstance(value, torch.nn.Module):
        return any(map(_is_elsewhere, value.state_dict().values()))
    if isinstance(value, Callback):
        value = vars(value)
    if isinstance(value, dict):
        value = value.values()
    return isinstance(value, (list, tuple, type({}.values()))) and any(map(_is_elsewhere, value))


class _OnDevice(dict):
    """Attributes with tensors on a device, that come back on a machine without it, wherever they are."""

    def __reduce__(self):
        buffer = io.BytesIO()
        torch.save(dict(self), buffer)
        buffer.seek(0)
        return partial(torch.load, map_location=present_location, weights_only=False), (buffer,)


def present_location(storage, location):
    """Tell ``torch.load`` where to put what was on a device: on the one of this machine."""
    if location == "cpu":
        return storage
    return default_restore_location(storage, str(resolve_device("auto")))
