"""Previews: pictures of finished rasters, for people to look at."""
