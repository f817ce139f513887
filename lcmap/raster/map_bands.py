"""What the bands of the rasters that come with a map are called, by which they are known again."""

CONFIDENCE = "confidence (%)"
MARGIN = "margin (%)"
SCENE = "scene"
