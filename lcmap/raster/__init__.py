"""Grids, windows, opening, pipes, atomic writing, colour tables, COG."""
