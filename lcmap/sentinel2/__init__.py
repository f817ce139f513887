"""Sentinel-2 products as they are delivered: ESA SAFE (L1C, L2A) and THEIA/MAJA (L2A)."""
