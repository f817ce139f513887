"""lcmap, of whose processes under torchrun one is killed before a step, by SIGKILL.

Where torchrun starts them again, none is.

torchrun ... lcmap_with_a_killed_rank.py RANK STEP ARGS...
"""

from __future__ import annotations

import os
import signal
import sys

from torch import Tensor

from lcmap.__main__ import main
from lcmap.training import trainer
from lcmap.training.batches import Batch
from lcmap.training.trainer import Trainer

trainer.computes_bfloat16 = lambda device: False  # as in lcmap_in_float32.py

rank, step = int(sys.argv.pop(1)), int(sys.argv.pop(1))
whole = Trainer.step


def killed(self: Trainer, batch: Batch) -> Tensor:
    again = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"
    if (int(os.environ["RANK"]), self.steps) == (rank, step) and not again:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(self, batch)


Trainer.step = killed  # type: ignore[method-assign]
main()
