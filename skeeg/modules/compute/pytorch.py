"""The one place that asks PyTorch what it is doing.

Networks and layers, threads, folded weights and gradients written by hand depend on whether gradients are
recorded and whether something follows operations. PyTorch answers such questions partly under private names,
which differ between its versions: they stand here and nowhere else.
"""

from __future__ import annotations

import contextlib
import sys
import threading

import torch


def records_gradients():
    """Whether operations are recorded for a backward pass."""
    return torch.is_grad_enabled()


def is_compiling():
    """Whether `torch.compile` or `torch.export` reads the code."""
    return torch.compiler.is_compiling()


def computes_plainly():
    """Whether to compute in plain operations, which PyTorch itself differentiates in any way and records.

    So it is within `plainly`, for transforms of ``torch.func`` (grad, vmap, jvp, ...), forward-mode
    differentiation, compilers and tracers: none of them knows of gradients written by hand, and what they
    record is to serve batches of any size.
    """
    return (
        is_compiling()
        or _here.plainly
        or torch._C._are_functorch_transforms_active()
        or torch.jit.is_tracing()
        or torch.autograd.forward_ad._current_level >= 0
    )


def are_batched(tensors):
    """Whether gradients come many at a time (``is_grads_batched``), by a vmap that is autograd's own."""
    return any(torch._C._functorch.is_legacy_batchedtensor(t) for t in tensors if t is not None)


@contextlib.contextmanager
def plainly():
    """Compute in plain operations here, in this thread."""
    before, _here.plainly = _here.plainly, True
    try:
        yield
    finally:
        _here.plainly = before


def may_write_parameters():
    """Whether a forward pass may change parameters: not in what is a function of them, or becomes a graph."""
    return not computes_plainly() or torch.compiler.is_dynamo_compiling()


def only_evaluates():
    """Whether the numbers are all that is asked for: no gradients, nobody who wants plain operations."""
    return not (records_gradients() or computes_plainly())


class _Here(threading.local):
    plainly = False


_here = _Here()


def is_followed():
    """Whether something follows operations: whoever wants plain ones, or a dispatch mode.

    It sees what one thread does, and takes what is kept from call to call for constants.
    """
    return computes_plainly() or torch._C._len_torch_dispatch_stack() > 0


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


def n_samples(signals):
    """Number of samples of signals (..., n_times); a number for tracers, too, who make tensors of shapes."""
    return int(signals.shape[-1])


def full_precision(tensor):
    """Context in which autocast does not lower the precision of operations on the device of a tensor."""
    if not torch.amp.is_autocast_available(tensor.device.type):  # as on the meta device
        return contextlib.nullcontext()
    return torch.autocast(tensor.device.type, enabled=False)


def is_exported_to_onnx():
    """Whether an exporter to ONNX reads the code; another thread may compute meanwhile."""
    return computes_plainly() and _is_any_exported_to_onnx()


def _is_any_exported_to_onnx():
    onnx = sys.modules.get("torch.onnx")  # importing it takes a tenth of a second; who exports has done so
    return onnx is not None and onnx.is_in_onnx_export()


_is_any_exported_to_onnx._dynamo_marked_constant = True  # which takes PyTorch's own function for False


def version(tensor):
    """How often operations have changed a tensor in place."""
    return tensor._version


def call_recorded(function, args):
    """What ``function.apply(*args)`` does once it has looked up the default arguments of ``forward``.

    The lookup takes as long as a layer does for one trial. ``function`` is a subclass of
    `torch.autograd.Function`; no transform of ``torch.func`` is at work.
    """
    return super(torch.autograd.Function, function).apply(*args)


def function_of(ctx):
    """The subclass of `torch.autograd.Function` that a context belongs to."""
    return ctx._forward_cls


def without_saving_hooks():
    """Context in which graphs save tensors as they are, whatever hooks such as a checkpoint's say."""
    current = getattr(torch._C._autograd, "_top_saved_tensors_default_hooks", None)  # since PyTorch 2.8
    if current is None or current(False) is None:
        return contextlib.nullcontext()
    return torch.autograd.graph.saved_tensors_hooks(_as_it_is, _as_it_is)  # slow: Python for each tensor


def _as_it_is(saved):
    return saved
