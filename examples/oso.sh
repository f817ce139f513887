#!/usr/bin/env bash
# An existing label map improved with a metric image: OSO adapted as it is, SPOT alone, and OSO
# reclassified by a network that sees both (paper, section 6; tables 4 and 5; figure 5).
#
#     bash examples/oso.sh                              on the shipped data, or on your own:
#     SPOT="a.tif b.tif" OSO=oso_2018.tif REFERENCE="bdtopo.gpkg rpg.gpkg" bash examples/oso.sh
#
# experiments.sh lists all settings, and what the shipped data are. The codes of OSO differ between
# its versions: OSO_CLASSES is oso23 from 2018 on, oso17 before. Writes OUTPUT/oso and
# OUTPUT/shared.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/experiments.sh"
begin oso SPOT OSO REFERENCE

here=$OUTPUT/oso
one_sensor_maps spot "$ADAPTED"
stacks "$here/reclassified" "$ADAPTED" "$SPOT" "$OSO" ":$OSO_CLASSES"
learn "$here/reclassified"
for zone in $(zones); do
    stack=$here/reclassified.$zone.stack.tif
    oso=$(of_zone "$zone" "$OSO")
    [ -e "$here/adapted.$zone.map.tif" ] ||
        lcmap reclassify-oso "$stack" "$oso" --oso "$OSO_CLASSES" --crosswalk-only \
            --crosswalk "$ADAPTATION" -o "$here/adapted.$zone.map.tif" --qml --overwrite
    [ -e "$here/reclassified.$zone.map.tif" ] ||
        lcmap reclassify-oso "$stack" "$oso" --oso "$OSO_CLASSES" -m "$here/reclassified.onnx" \
            -o "$here/reclassified.$zone.map.tif" --qml --overwrite
    [ -e "$here/without.$zone.map.tif" ] ||
        lcmap reclassify-oso "$stack" "$oso" --oso "$OSO_CLASSES" -m "$here/reclassified.onnx" \
            --without side1 -o "$here/without.$zone.map.tif" --qml --overwrite
done
picture oso/maps.png "$ADAPTED" "OSO adapted,SPOT alone,reclassified" \
    "$here/adapted" "$shared/spot.$ADAPTED" "$here/reclassified"

maps=(--name OSO "$here/adapted.*.map.tif" --name SPOT "$shared/spot.$ADAPTED.*.map.tif"
    --name reclassified "$here/reclassified.*.map.tif")

# OSO has no class for the new ones, nor where it has a discarded one, as dense urban areas. The
# latter are errors of OSO to one who needs a whole map, and no data to one who asks how good OSO's
# other classes are.
title "Table 5, kept classes ($KEPT of $ADAPTED), discarded ones missed"
score oso/kept "$ADAPTED" "${maps[@]}" --classes "$KEPT"
title "Table 5, kept classes ($KEPT of $ADAPTED), discarded ones no data, left out for all maps"
score oso/kept-no-data "$ADAPTED" "${maps[@]}" --classes "$KEPT" --ignore-unclassified
title "Table 5, all classes of $ADAPTED"
score oso/all "$ADAPTED" "${maps[@]:3}"
title "What OSO gives the network, all classes of $ADAPTED"
score oso/without "$ADAPTED" --name "all entries" "$here/reclassified.*.map.tif" \
    --name "without OSO" "$here/without.*.map.tif"
echo "tables, picture and maps: $OUTPUT/oso; model of SPOT alone: $shared"
