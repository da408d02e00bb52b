"""How layers compute: threads, folded weights, gradients written by hand."""
