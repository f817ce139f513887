"""Map an image with QGIS's Deepness plugin, as its button Run does with what the model file says.

    /usr/bin/python3 deepness_map.py PLUGIN MODEL.onnx IMAGE.tif CLASSES.npy

PLUGIN is the folder of the plugin, whose packages are where it installs them itself. Runs in the
Python that has PyQGIS, not in that of lcmap. The array holds the number of the class of each pixel,
from 1, and what the plugin read in the model is printed as JSON.
"""

from __future__ import annotations

import json
import os
import sys


def main(model_path: str, image_path: str, classes_path: str) -> None:
    """Map the image with the plugin's own classes, in the order in which its window uses them."""
    import numpy as np
    from deepness.common.channels_mapping import ChannelsMapping, ImageChannelStandaloneBand
    from deepness.common.processing_overlap import ProcessingOverlap, ProcessingOverlapOptions
    from deepness.common.processing_parameters.map_processing_parameters import ProcessedAreaType
    from deepness.common.processing_parameters.segmentation_parameters import (
        SegmentationParameters,
    )
    from deepness.processing.map_processor.map_processor_segmentation import (
        MapProcessorSegmentation,
    )
    from deepness.processing.models.segmentor import Segmentor
    from qgis.core import QgsApplication, QgsProject, QgsRasterLayer

    application = QgsApplication([], False)
    application.initQgis()
    layer = QgsRasterLayer(image_path, "image")
    QgsProject.instance().addMapLayer(layer)
    bands = ChannelsMapping()
    bands.set_image_channels(
        [ImageChannelStandaloneBand(band, str(band)) for band in range(1, layer.bandCount() + 1)]
    )
    bands.set_number_of_model_inputs_same_as_image_channels()
    model = Segmentor(model_path)
    (classes,) = model.get_number_of_output_channels()
    said = {
        "type": model.get_metadata_model_type(),
        "channels": model.get_number_of_channels(),
        "size": model.get_input_size_in_pixels()[-1],
        "tile size": model.get_metadata_tile_size(),
        "overlap": model.get_metadata_tiles_overlap(),
        "resolution": model.get_metadata_resolution(),
        "names": [model.get_channel_name(0, channel) for channel in range(classes)],
    }
    parameters = SegmentationParameters(
        resolution_cm_per_px=said["resolution"],
        tile_size_px=said["size"],
        batch_size=1,
        local_cache=False,
        processed_area_type=ProcessedAreaType.ENTIRE_LAYER,
        mask_layer_id=None,
        input_layer_id=layer.id(),
        input_channels_mapping=bands,
        postprocessing_dilate_erode_size=model.get_metadata_segmentation_small_segment(),
        processing_overlap=ProcessingOverlap(
            ProcessingOverlapOptions.OVERLAP_IN_PERCENT, percentage=said["overlap"]
        ),
        pixel_classification__probability_threshold=model.get_metadata_segmentation_threshold(),
        model=model,
    )
    processor = MapProcessorSegmentation(
        rlayer=layer, vlayer_mask=None, map_canvas=None, params=parameters
    )
    processor.run()
    np.save(classes_path, processor.get_result_img())
    print("\n" + json.dumps(said))


os.environ["QT_QPA_PLATFORM"] = "offscreen"
plugin = os.path.abspath(sys.argv[1])
sys.path.insert(0, os.path.dirname(plugin))
sys.path.append(os.path.join(plugin, f"python{sys.version_info.major}.{sys.version_info.minor}"))
main(*sys.argv[2:])
sys.stdout.flush()
# QGIS may crash when it is torn down
os._exit(0)
