"""The land-cover network: a U-Net with unpooling, for one input and several (torch only)."""

from lcmap.network.geometry import receptive_field, stride
from lcmap.network.land_cover_network import LandCoverNetwork, Skip

__all__ = ["LandCoverNetwork", "Skip", "receptive_field", "stride"]
