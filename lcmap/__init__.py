"""Land-cover maps from metre-resolution satellite imagery."""

import os

# onnxruntime reads it when it is imported, and else writes a database into the home folder
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__: str


def __getattr__(name: str) -> str:
    """Return the version, which takes a while to find, once it is asked for."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version

    return version("lcmap")
