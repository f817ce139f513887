"""Land-cover maps from metric satellite imagery."""

from importlib.metadata import version

__version__ = version("lcmap")
