"""Batches of trials from arrays in memory, without a loader's overhead."""

from __future__ import annotations

import torch
from skorch.dataset import Dataset

from skeeg.modules.layers.window_sums import carry_sums

_SMALL = 2**23  # bytes that sums of trials may take, however few the trials


class TrialDataset(Dataset):
    """Trials in memory with their class codes and weights.

    Parameters
    ----------
    X : torch.Tensor, shape (n_trials, n_chans, n_times)
        Trials.
    codes : torch.Tensor of int64, shape (n_trials,)
        Index of each trial's class in ``classes_``.
    weights : torch.Tensor, shape (n_trials,)
        Weight of each trial in the loss.
    y : array-like, shape (n_trials,), optional
        The user's labels, for callbacks that score; the codes when not given.

    Attributes
    ----------
    whole : torch.Tensor
        The trials in memory, of which a subset holds the ``rows``.
    rows : torch.Tensor of int64 or None
        Places of a subset's trials in ``whole``; None for all of them.

    Notes
    -----
    An item is ``(trial, (code, weight))``, so that any iterator which collates items, such as
    ``torch.utils.data.DataLoader``, gives the batches that :class:`skeeg.EEGClassifier` trains on.
    """

    def __init__(self, X, codes, weights, y=None):
        self.whole, self.rows, self.codes, self.weights = X, None, codes, weights
        self.y = codes.numpy() if y is None else y

    @property
    def X(self):
        """The trials; of a subset, a copy."""
        return self.whole if self.rows is None else self.whole.index_select(0, self.rows)

    def __len__(self):
        return len(self.codes)

    def __getitem__(self, index):
        row = index if self.rows is None else self.rows[index]
        return self.whole[row], (self.codes[index], self.weights[index])

    def subset(self, index):
        """Get the trials at some places, in that order, as often as they are named; copies none."""
        chosen = torch.from_numpy(index)
        part = TrialDataset(self.whole, self.codes[chosen], self.weights[chosen], self.y[index])
        part.rows = chosen if self.rows is None else self.rows[chosen]
        return part


class TrialIterator:
    """Iterate over a :class:`TrialDataset` by indexing whole batches.

    Parameters
    ----------
    dataset : TrialDataset
        Trials in memory.
    batch_size : int, default=64
        Trials in a batch; -1 for all of them. The last batch may be smaller.
    shuffle : bool, default=False
        Draw a new order for each pass, from torch's generator.
    sampler : iterable of int, optional
        Places of the trials of each pass, instead of all of them, in an order of its own.
    device : torch.device or str, default="cpu"
        Where batches are wanted. On CUDA the data set is copied there once where it takes at most a
        quarter of the free memory; otherwise batches go through pinned memory, asynchronously.

    Notes
    -----
    A last batch of a single trial is joined to the one before it when shuffling (training), because
    batch statistics of one trial say little and some layers cannot form them.

    Examples
    --------
    >>> import torch
    >>> from skeeg.estimators.iterators import TrialDataset, TrialIterator
    >>> data = TrialDataset(torch.zeros(5, 3, 8), torch.tensor([0, 1, 0, 1, 0]), torch.ones(5))
    >>> [len(X) for X, _ in TrialIterator(data, batch_size=2)]
    [2, 2, 1]
    """

    def __init__(self, dataset, batch_size=64, shuffle=False, sampler=None, device="cpu"):
        self.dataset = dataset
        self.batch_size = len(dataset) if batch_size == -1 else batch_size
        self.shuffle = shuffle
        self.sampler = sampler
        self.device = torch.device(device)
        self._X, self._rows = dataset.whole, dataset.rows
        self._targets = (dataset.codes, dataset.weights)
        self._sums = None
        if self.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self.device)
            if len(dataset) * dataset.whole[:1].nbytes <= free // 4:
                self._X, self._rows = dataset.X.to(self.device), None
                self._targets = tuple(t.to(self.device) for t in self._targets)

    def find_sums(self, window_sums):
        """Find sums of each trial once, for batches to carry to the layer that needs them.

        Parameters
        ----------
        window_sums : callable
            Gives the sums of trials, see :func:`skeeg.modules.layers.window_sums.carry_sums`. They are kept
            where they take no more memory than trials that are few, or an eighth of it.
        """
        n, one = len(self.dataset), self._X[:1]
        size = n * window_sums(one).nbytes
        if size <= n * one.nbytes and size <= max(n * one.nbytes / 8, _SMALL):
            for part in torch.arange(n, device=self._X.device).split(32):
                sums = window_sums(self._trials(part))
                if self._sums is None:
                    self._sums = sums.new_empty(n, *sums.shape[1:])
                self._sums[part] = sums

    def _bounds(self, n):
        size = self.batch_size
        starts = list(range(0, n, size))
        if (self.shuffle or self.sampler is not None) and len(starts) > 1 and n - starts[-1] == 1:
            starts.pop()
        return list(zip(starts, [*starts[1:], n], strict=True))

    def __len__(self):
        return len(self._bounds(len(self.dataset if self.sampler is None else self.sampler)))

    def _trials(self, chosen):
        return _chosen(self._X, chosen if self._rows is None else self._rows[chosen])

    def _part(self, tensor, chosen):
        return self._to_device(_chosen(tensor, chosen))

    def _to_device(self, batch):
        if batch.device == self.device:
            return batch
        if self.device.type == "cuda":
            return batch.pin_memory().to(self.device, non_blocking=True)
        return batch.to(self.device)

    def __iter__(self):
        order = None
        if self.sampler is not None:
            order = torch.tensor(list(self.sampler), dtype=torch.int64)
            if len(order) and order.max() >= len(self.dataset):
                raise ValueError(f"the sampler draws trial {order.max()}, but there are {len(self.dataset)}")
        elif self.shuffle:
            order = torch.randperm(len(self.dataset))
        if order is not None:
            order = order.to(self._X.device)
        for start, stop in self._bounds(len(self.dataset if order is None else order)):
            chosen = slice(start, stop) if order is None else order[start:stop]
            X = self._to_device(self._trials(chosen))
            codes, weights = (self._part(target, chosen) for target in self._targets)
            if self._sums is not None:
                carry_sums(X, self._part(self._sums, chosen))
            yield X, (codes, weights)


def _chosen(tensor, chosen):
    # index_select copies trials whole, several times as fast as indexing
    return tensor[chosen] if isinstance(chosen, slice) else tensor.index_select(0, chosen)


def find_samplers(make, options):
    """Get the sampler and the batch sampler that an iterator is made with, or None.

    Parameters
    ----------
    make : callable
        The iterator's class, or a functools.partial of it.
    options : dict
        Arguments given by routed names.

    Returns
    -------
    sampler, batch_sampler : iterable or None
    """
    given = getattr(make, "keywords", {}) | options
    return given.get("sampler"), given.get("batch_sampler")


def goes_by_place(make, options):
    """Tell whether an iterator takes trials by their places, or in their order, as the user gave them."""
    given = getattr(make, "keywords", {}) | options
    return (
        any(sampler is not None for sampler in find_samplers(make, options)) or given.get("shuffle") is False
    )


def check_samplers(make, options, n_trials, *, validates, all_weigh):
    """Refuse samplers that cannot mean the trials of this training.

    Parameters
    ----------
    make, options
        As of :func:`find_samplers`.
    n_trials : int
        Trials in ``X``.
    validates : bool
        Whether some are held out.
    all_weigh : bool
        Whether all have a weight above 0.

    Raises
    ------
    ValueError
        When trials are held out or weigh nothing, which a sampler does not know, or when the sampler is made
        for another number of trials.
    """
    sampler, batch_sampler = find_samplers(make, options)
    if sampler is None and batch_sampler is None:
        return
    name = type(batch_sampler if sampler is None else sampler).__name__
    if batch_sampler is not None and make is TrialIterator:
        raise ValueError(
            "TrialIterator takes no batch_sampler: set iterator_train=torch.utils.data.DataLoader"
        )
    if validates:
        raise ValueError(
            f"{name} draws trials by their places in X, also those that train_split holds out: set "
            "train_split=None, monitor on other trials"
        )
    if not all_weigh:
        raise ValueError(
            f"{name} draws trials by their places in X, also those of sample_weight 0: drop them"
        )
    inner = batch_sampler if sampler is None else sampler
    while getattr(inner, "sampler", None) is not None:
        inner = inner.sampler
    for known in ("weights", "data_source"):
        n_known = len(getattr(inner, known, range(n_trials)))
        if n_known != n_trials:
            raise ValueError(
                f"{name} is made for {n_known} trials, but X has {n_trials}: in cross-validation, X is a "
                "part of all trials; give sample_weight, which is cut with it"
            )
