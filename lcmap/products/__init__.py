"""Products made from finished maps: generalised maps, their polygons, areas."""
