#!/usr/bin/env bash
# Stability of a rich nomenclature: a map of many classes, brought to few, beside a map that was
# made in the few (paper, section 4.3.1; table 3: 18 classes to 6).
#
#     bash examples/stability.sh                        on the shipped data, or on your own:
#     SPOT="a.tif b.tif" REFERENCE="bdtopo.gpkg rpg.gpkg" bash examples/stability.sh
#
# experiments.sh lists all settings, and what the shipped data are. The maps of SPOT are those of
# sensor_comparison.sh where it has run. Writes OUTPUT/stability and OUTPUT/shared.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/experiments.sh"
begin stability SPOT REFERENCE

one_sensor_maps spot "$SIMPLE"
one_sensor_maps spot "$COMPLEX"

# The map of many classes in the few, as a file; reclassify-oso --crosswalk-only does that to any
# label map, not to OSO alone.
for zone in $(zones); do
    [ -e "$OUTPUT/stability/aligned.$zone.map.tif" ] ||
        lcmap reclassify-oso "$shared/spot.$COMPLEX.$zone.stack.tif" \
            "$shared/spot.$COMPLEX.$zone.map.tif" --crosswalk-only --crosswalk "$CROSSWALK" \
            -o "$OUTPUT/stability/aligned.$zone.map.tif" --qml --overwrite
done
picture stability/maps.png "$SIMPLE" "$SIMPLE,$COMPLEX to $SIMPLE" \
    "$shared/spot.$SIMPLE" "$OUTPUT/stability/aligned"

# Classes that the crosswalk discards (cemeteries) are unlabelled pixels, left out for both maps.
title "Table 3: $SIMPLE beside $COMPLEX brought to $SIMPLE"
score stability/scores "$SIMPLE" --ignore-unclassified \
    --name "$SIMPLE" "$shared/spot.$SIMPLE.*.map.tif" --crosswalk none \
    --name "$COMPLEX" "$shared/spot.$COMPLEX.*.map.tif" --crosswalk "$CROSSWALK"

title "For comparison, table 2: $COMPLEX in its own classes"
score "stability/$COMPLEX" "$COMPLEX" --name "$COMPLEX" "$shared/spot.$COMPLEX.*.map.tif"
echo "tables, picture and maps: $OUTPUT/stability; models: $shared"
