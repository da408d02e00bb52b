"""Channel attention: eleven published blocks that gate feature maps, in one registry.

Every block maps (batch, ch_dim, 1, times) to the same shape: it squeezes each channel into a few
numbers, turns them into a gate and multiplies the input by it.
"""

from __future__ import annotations

from inspect import signature

from skeeg.modules.attention.of_channels import (
    ECA,
    FCA,
    GCT,
    SRM,
    EncNet,
    GatherExcite,
    GSoP,
    SqueezeAndExcitation,
)
from skeeg.modules.attention.of_channels_and_times import CAT, CBAM, CATLite

#: Attention blocks by the name of their mode.
ATTENTION_BLOCKS = {
    "se": SqueezeAndExcitation,
    "gsop": GSoP,
    "fca": FCA,
    "encnet": EncNet,
    "eca": ECA,
    "ge": GatherExcite,
    "gct": GCT,
    "srm": SRM,
    "cbam": CBAM,
    "cat": CAT,
    "catlite": CATLite,
}

#: The parameters of ``make_attention`` that each mode reads.
mode_reads = {
    mode: tuple(name for name in signature(block).parameters if name not in ("ch_dim", "seq_len"))
    for mode, block in ATTENTION_BLOCKS.items()
}


def make_attention(
    mode,
    ch_dim,
    seq_len,
    *,
    reduction_rate=4,
    use_mlp=False,
    freq_idx=0,
    n_codewords=4,
    kernel_size=9,
    extra_params=False,
):
    """Make an attention block by the name of its mode.

    Parameters
    ----------
    mode : {"se", "gsop", "fca", "encnet", "eca", "ge", "gct", "srm", "cbam", "cat", "catlite"} or None
        Which block; None for none.
    ch_dim : int
        Number of channels of the block's input.
    seq_len : int
        Number of samples of the block's input.
    reduction_rate, use_mlp, freq_idx, n_codewords, kernel_size, extra_params
        As for :class:`skeeg.AttentionBaseNetClassifier`, whose Notes say which mode reads which.

    Returns
    -------
    torch.nn.Module or None
        Maps (batch, ch_dim, 1, seq_len) to the same shape.

    Raises
    ------
    ValueError
        When there is no such mode, or a parameter that it reads has no meaning.

    Examples
    --------
    >>> make_attention("eca", ch_dim=16, seq_len=62, kernel_size=3)
    ECA(
      (conv): Conv1d(1, 1, kernel_size=(3,), stride=(1,), padding=(1,), bias=False)
    )
    """
    if mode is None:
        return None
    if mode not in ATTENTION_BLOCKS:
        raise ValueError(f"attention_mode={mode!r} must be None or one of {', '.join(ATTENTION_BLOCKS)}")
    given = {
        "ch_dim": ch_dim,
        "seq_len": seq_len,
        "reduction_rate": reduction_rate,
        "use_mlp": use_mlp,
        "freq_idx": freq_idx,
        "n_codewords": n_codewords,
        "kernel_size": kernel_size,
        "extra_params": extra_params,
    }
    block = ATTENTION_BLOCKS[mode]
    return block(**{name: given[name] for name in signature(block).parameters})
