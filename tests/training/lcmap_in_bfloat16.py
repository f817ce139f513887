"""lcmap on a processor that is told to compute bfloat16; PyTorch can on any.

torchrun ... lcmap_in_bfloat16.py ARGS...
"""

from __future__ import annotations

from lcmap.__main__ import main
from lcmap.training import trainer

trainer.computes_bfloat16 = lambda device: True
main()
