"""Open layers in QGIS, as a user does, and print as JSON what the legend says and how they look.

    /usr/bin/python3 qgis_legend.py LAYER...

Runs in the Python that has PyQGIS, not in that of lcmap. Of each layer: the kind of its renderer,
the lines of its legend, how many pixels of a picture of 200 × 200 have which colour, and how each
field of its features appears in the form.
"""

from __future__ import annotations

import collections
import json
import os
import sys

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from qgis.core import (
    QgsApplication,
    QgsLayerTreeModel,
    QgsMapRendererSequentialJob,
    QgsMapSettings,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QSize

SIDE = 200


def form_of(layer: QgsVectorLayer) -> dict[str, object]:
    """Return of each field the kind of its widget, and what can be picked in it."""
    setups = {field.name(): layer.editorWidgetSetup(i) for i, field in enumerate(layer.fields())}
    return {name: [setup.type(), setup.config().get("map")] for name, setup in setups.items()}


application = QgsApplication([], False)
application.initQgis()
found = {}
for path in sys.argv[1:]:
    raster = path.endswith(".tif")
    layer = QgsRasterLayer(path, path) if raster else QgsVectorLayer(path, path, "ogr")
    project = QgsProject.instance()
    project.addMapLayer(layer)
    model = QgsLayerTreeModel(project.layerTreeRoot())
    node = project.layerTreeRoot().findLayer(layer.id())
    settings = QgsMapSettings()
    settings.setLayers([layer])
    settings.setExtent(layer.extent())
    settings.setDestinationCrs(layer.crs())
    settings.setOutputSize(QSize(SIDE, SIDE))
    job = QgsMapRendererSequentialJob(settings)
    job.start()
    job.waitForFinished()
    image = job.renderedImage()
    colors = (image.pixelColor(x, y).name() for x in range(SIDE) for y in range(SIDE))
    found[path] = {
        "renderer": layer.renderer().type(),
        "legend": [str(item.data(0) or "") for item in model.layerLegendNodes(node)],
        "colors": dict(collections.Counter(colors)),
        "form": {} if raster else form_of(layer),
    }
print(json.dumps(found))
sys.stdout.flush()
# QGIS may crash when it is torn down
os._exit(0)
