#!/usr/bin/env bash
# Fusion of two sensors, by a network of two encoders and late, beside each sensor alone
# (paper, sections 2.3 and 5; table 2, columns SPOT, S2 and Fu.; figures 3 and 4).
#
#     bash examples/fusion.sh                           on the shipped data, or on your own:
#     SPOT="a.tif b.tif" S2="s2_a.tif s2_b.tif" REFERENCE="bdtopo.gpkg rpg.gpkg" \
#         bash examples/fusion.sh
#
# experiments.sh lists all settings, and what the shipped data are. The models of one sensor are
# those of sensor_comparison.sh where it has run. NOMENCLATURES="$COMPLEX" makes one of the two.
# Probabilities take 4 bytes a class and pixel. Writes OUTPUT/fusion and OUTPUT/shared.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/experiments.sh"
begin fusion SPOT S2 REFERENCE
NOMENCLATURES=${NOMENCLATURES:-$SIMPLE $COMPLEX}

for classes in $NOMENCLATURES; do
    here=$OUTPUT/fusion/$classes
    one_sensor spot "$classes"
    one_sensor s2 "$classes"
    # Sentinel-2 goes in on its own grid: train and fuse resample it as they read it.
    stacks "$here.network" "$classes" "$SPOT" "$S2" ""
    learn "$here.network"
    for zone in $(zones); do
        sentinel=$(of_zone "$zone" "$S2")
        for sensor in spot s2; do
            [ -e "$here.$sensor.$zone.map.tif" ] ||
                lcmap predict "$shared/$sensor.$classes.$zone.stack.tif" \
                    -m "$shared/$sensor.$classes.onnx" -o "$here.$sensor.$zone.map.tif" \
                    --probabilities "$here.$sensor.$zone.probabilities.tif" --qml --overwrite
        done
        [ -e "$here.network.$zone.map.tif" ] ||
            lcmap fuse "$here.network.$zone.stack.tif" "$sentinel" -m "$here.network.onnx" \
                -o "$here.network.$zone.map.tif" --qml --overwrite
        [ -e "$here.without.$zone.map.tif" ] ||
            lcmap fuse "$here.network.$zone.stack.tif" "$sentinel" -m "$here.network.onnx" \
                --without side1 -o "$here.without.$zone.map.tif" --qml --overwrite
        [ -e "$here.late.$zone.map.tif" ] ||
            lcmap fuse "$here.spot.$zone.probabilities.tif" \
                "$here.s2.$zone.probabilities.tif" --late product \
                -o "$here.late.$zone.map.tif" --qml --overwrite
    done
    picture "fusion/$classes.png" "$classes" "SPOT,S2,fusion by network,late fusion" \
        "$here.spot" "$here.s2" "$here.network" "$here.late"
done

# Pixels that a sensor does not see (clouds, the image's rim) are left out for all maps.
for classes in $NOMENCLATURES; do
    here=$OUTPUT/fusion/$classes
    title "Table 2: $classes"
    score "fusion/$classes" "$classes" --ignore-unclassified \
        --name SPOT "$here.spot.*.map.tif" --name S2 "$here.s2.*.map.tif" \
        --name network "$here.network.*.map.tif" --name late "$here.late.*.map.tif"
    title "What Sentinel-2 gives the network: $classes"
    score "fusion/$classes.without" "$classes" --ignore-unclassified \
        --name "all entries" "$here.network.*.map.tif" \
        --name "without S2" "$here.without.*.map.tif"
done
echo "tables, pictures and maps: $OUTPUT/fusion; models of one sensor: $shared"
