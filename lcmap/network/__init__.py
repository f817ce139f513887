"""The land-cover network: a U-Net with unpooling, for one input and several (torch only)."""

from lcmap.network.architecture import Architecture, Skip, Stem
from lcmap.network.geometry import receptive_field, stride
from lcmap.network.land_cover_network import LandCoverNetwork

__all__ = ["Architecture", "LandCoverNetwork", "Skip", "Stem", "receptive_field", "stride"]
