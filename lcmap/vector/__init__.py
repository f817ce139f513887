"""Vector files: finding their layers, reading their features."""
