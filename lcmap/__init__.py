"""Land-cover maps from metric satellite imagery."""

import os
from importlib.metadata import version

# onnxruntime reads it when it is imported, and else writes a database into the home folder
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = version("lcmap")
