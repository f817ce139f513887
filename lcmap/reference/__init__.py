"""Vector reference databases burnt to label rasters."""
