"""The one place that asks PyTorch what it is doing.

Networks and layers, threads, folded weights and gradients written by hand depend on whether gradients are
recorded and whether something follows operations. PyTorch answers such questions partly under private names,
which differ between its versions: they stand here and nowhere else.
"""

from __future__ import annotations

import contextlib

import torch


def records_gradients():
    """Whether operations are recorded for a backward pass."""
    return torch.is_grad_enabled()


def is_compiling():
    """Whether `torch.compile` or `torch.export` reads the code."""
    return torch.compiler.is_compiling()


def is_transformed():
    """Whether a transform of ``torch.func`` (grad, vmap, jvp, ...) is at work."""
    return torch._C._are_functorch_transforms_active()


def is_followed():
    """Whether something follows operations: compiler, tracer, transform, dispatch mode.

    It sees what one thread does, and takes what is kept from call to call for constants.
    """
    return (
        is_compiling()
        or torch.jit.is_tracing()
        or is_transformed()
        or torch._C._len_torch_dispatch_stack() > 0
    )


def modes_of_this_thread():
    """Function that makes contexts, for any thread, in which gradients are recorded as they are here now."""
    inference, grad = torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    @contextlib.contextmanager
    def modes():
        with torch.inference_mode(inference), torch.set_grad_enabled(grad):
            yield

    return modes


def has_values(tensor):
    """Whether it holds numbers, which tensors on the meta device and a tracer's do not."""
    return type(tensor) is torch.Tensor and not tensor.is_meta


def version(tensor):
    """How often operations have changed a tensor in place."""
    return tensor._version


def call_recorded(function, args):
    """What ``function.apply(*args)`` does once it has looked up the default arguments of ``forward``.

    The lookup takes as long as a layer does for one trial. ``function`` is a subclass of
    `torch.autograd.Function`; no transform is at work.
    """
    return super(torch.autograd.Function, function).apply(*args)


def without_saving_hooks():
    """Context in which graphs save tensors as they are, whatever hooks such as a checkpoint's say."""
    current = getattr(torch._C._autograd, "_top_saved_tensors_default_hooks", None)  # since PyTorch 2.8
    if current is None or current(False) is None:
        return contextlib.nullcontext()
    return torch.autograd.graph.saved_tensors_hooks(_as_it_is, _as_it_is)  # slow: Python for each tensor


def _as_it_is(saved):
    return saved
