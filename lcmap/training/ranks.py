"""The processes that torchrun started, as one run: each takes its share of every batch.

What they compute together is what one process computes: sums over pixels, here gradients, losses
and confusion, are sums over the pixels of all. Batch normalisation is in `shared_normalisation`.
A process that was started alone is a run of one, for which nothing here does anything, and
torch.distributed is not imported.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from lcmap.errors import RankLostError, UsageError
from lcmap.interruption import ignore_signals
from lcmap.launch import Launch, agree_who_says_errors, launched
from lcmap.raster.threads import available_threads
from lcmap.training.precision import DeviceName, choose_device

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

Value = TypeVar("Value")

_PATIENCE = timedelta(hours=2)
"""How long a process waits for the slowest; one that ends is noticed at once."""

_TO_ANSWER = timedelta(seconds=10)
_SECONDS_BETWEEN_LOOKS = 0.05
_SAID = "lcmap: what ended the run was said"
_TO_TRAIN, _SOMETHING, _NOTHING = "lcmap: to train", "something", "nothing"


class Ranks:
    """The processes of a run, which call the same methods in the same order."""

    def __init__(self, launch: Launch | None = None) -> None:
        """Be the process that was launched so; by default, alone."""
        self.launch = launch or Launch()

    @property
    def several(self) -> bool:
        """Whether there are more processes than this one."""
        return self.launch.size > 1

    def share(self, count: int) -> slice:
        """Return which of so many items, in order, are this process's."""
        rank, size = self.launch.rank, self.launch.size
        return slice(count * rank // size, count * (rank + 1) // size)

    def check_batch(self, size: int) -> None:
        """Check that batches of this size can be divided evenly.

        Raises:
            UsageError: they cannot.
        """
        if size % self.launch.size:
            raise UsageError(
                f"`batch_size={size}`",
                f"cannot be divided among {self.launch.size} processes",
                f"use a multiple of {self.launch.size}",
            )

    def check_same(self, settings: Mapping[str, Any]) -> None:
        """Check that all processes train the same.

        Raises:
            UsageError: this process has other settings than rank 0.
            RankLostError: another process ended.
        """
        first = self.of_first(settings)
        for name in {**first, **settings}:
            if settings.get(name) != first.get(name):
                raise UsageError(
                    f"rank {self.launch.rank}",
                    f"has {name} {settings.get(name)}, rank 0 has {first.get(name)}",
                    "start all processes with the same command",
                )

    def sum(self, tensor: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes, the same bits in each.

        Raises:
            RankLostError: another process ended.
        """
        if not self.several:
            return tensor
        import torch.distributed as distributed

        total = tensor.clone()
        with _others_needed():
            distributed.all_reduce(total)
        return total

    def all_have(self, mine: bool) -> bool:
        """Return whether something is so in all processes.

        Raises:
            RankLostError: another process ended.
        """
        return not self.sum(torch.tensor(int(not mine)))

    def sum_gradients(self, network: nn.Module) -> None:
        """Replace the gradients of all parameters by their sums over all processes.

        Raises:
            RankLostError: another process ended.
        """
        if not self.several:
            return
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        # one sum of all: a network this small is sent faster than many messages are begun
        total = self.sum(torch.cat([gradient.reshape(-1) for gradient in gradients]))
        parts = torch.split(total, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view(gradient.shape))

    def of_first(self, value: Value) -> Value:
        """Return what rank 0 gives; tensors on the CPU may be in it.

        Raises:
            RankLostError: another process ended.
        """
        if not self.several:
            return value
        import torch.distributed as distributed

        values = [value if self.launch.rank == 0 else None]
        with _others_needed():
            distributed.broadcast_object_list(values)
        return values[0]  # type: ignore[return-value]


ALONE = Ranks()


def dismiss() -> None:
    """Tell the other processes, from rank 0, that there is nothing to train.

    Raises:
        RankLostError: what connects the processes is gone.
    """
    if launched().size > 1:
        with _others_needed():
            _store().set(_TO_TRAIN, _NOTHING)


def is_needed() -> bool:
    """Wait until rank 0 knows whether there is anything to train, and return that.

    Raises:
        RankLostError: what connects the processes is gone.
    """
    with _others_needed():
        store = _store()
        # waiting in the store itself could not be interrupted
        while not store.check([_TO_TRAIN]):
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        return bool(store.get(_TO_TRAIN) != _NOTHING.encode())


@contextmanager
def all_ranks(device: DeviceName) -> Iterator[Ranks]:
    """Yield the processes of this run, connected; `device` is what computes in each.

    Of several that an error ends, the first to notice it says it, see `launch.says_errors`.

    Raises:
        UsageError: there is no GPU for this process.
        RankLostError: another process ended.
    """
    launch = launched()
    if launch.size == 1:
        yield ALONE
        return
    import torch.distributed as distributed

    with _others_needed():
        store = _store()
        if launch.rank == 0:
            store.set(_TO_TRAIN, _SOMETHING)
    try:
        backend = _backend(device, launch)
        with _others_needed():
            distributed.init_process_group(
                backend, store=store, rank=launch.rank, world_size=launch.size, timeout=_PATIENCE
            )
        yield Ranks(launch)
    except BaseException:
        ignore_signals()
        agree_who_says_errors(_is_first_to_say(store))
        raise
    distributed.destroy_process_group()


def threads(wanted: int | None) -> AbstractContextManager[None]:
    """Return a context in which PyTorch computes with so many threads.

    None is as many as the environment says. Where it says nothing the processes of a machine share
    the cores that they may use, and PyTorch by itself knows of no limit of a container's.
    """
    if wanted is None:
        said, launch = os.environ.get("OMP_NUM_THREADS"), launched()
        if launch.local_size > 1 and said == "1":  # which torchrun says where nobody else does
            wanted = max(available_threads() // launch.local_size, 1)
        elif said is None:
            wanted = min(available_threads(), torch.get_num_threads())
    return nullcontext() if wanted is None else _threads(wanted)


@contextmanager
def _threads(wanted: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(wanted)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _backend(device: DeviceName, launch: Launch) -> str:
    """Choose this process's GPU, where GPUs compute; return what connects the processes."""
    if choose_device(device).type == "cpu":
        return "gloo"
    there = torch.cuda.device_count()
    if launch.local_rank >= there:
        raise UsageError(
            "`device=cuda`",
            f"{launch.local_size} processes were started here, and there are {there} GPUs",
            f"start {there} processes a machine, or use `device=cpu`",
        )
    torch.cuda.set_device(launch.local_rank)
    return "cpu:gloo,cuda:nccl"


def _store() -> Store:
    """Return what torchrun keeps for the processes to find each other."""
    from torch.distributed import PrefixStore  # type: ignore[attr-defined]
    from torch.distributed.rendezvous import rendezvous

    store: Store
    store, _, _ = next(rendezvous("env://", timeout=_PATIENCE))
    # where torchrun starts them again, what those before wrote may still be there
    return PrefixStore(f"start {os.environ['TORCHELASTIC_RESTART_COUNT']}", store)


@contextmanager
def _others_needed() -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    # of a connection that was closed, gloo, nccl and the store each raise another kind of it
    except RuntimeError as error:
        # torchrun is about to end this process too: that is not the reason to be said
        ignore_signals()
        raise RankLostError(
            "training", "another of its processes ended or does not answer", "start it again"
        ) from error


def _is_first_to_say(store: Store) -> bool:
    try:
        store.set_timeout(_TO_ANSWER)
        return store.add(_SAID, 1) == 1
    except RuntimeError:  # the machine that holds it is gone
        return True
