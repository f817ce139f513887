"""Tile indexes, splits, class shares and window reading."""
