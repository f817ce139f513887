"""lcmap on any processor as on one without bfloat16: what torchrun runs in test_ranks."""

from __future__ import annotations

from lcmap.__main__ import main
from lcmap.training import trainer

trainer.computes_bfloat16 = lambda device: False

if __name__ == "__main__":
    main()
