#!/usr/bin/env bash
# Two sensors compared in two nomenclatures: what SPOT-6/7 and Sentinel-2 each can tell apart
# (paper, sections 4.2 and 4.3; table 2, columns SPOT and S2; figures 3 and 4).
#
#     bash examples/sensor_comparison.sh                on the shipped data, or on your own:
#     SPOT="a.tif b.tif" S2="s2_a.tif s2_b.tif" REFERENCE="bdtopo.gpkg rpg.gpkg" \
#         bash examples/sensor_comparison.sh
#
# experiments.sh lists all settings, and what the shipped data are. Writes
# OUTPUT/sensor_comparison and OUTPUT/shared.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/experiments.sh"
begin sensor_comparison SPOT S2 REFERENCE

for classes in "$SIMPLE" "$COMPLEX"; do
    one_sensor_maps spot "$classes"
    one_sensor_maps s2 "$classes"
    picture "sensor_comparison/$classes.png" "$classes" SPOT,S2 \
        "$shared/spot.$classes" "$shared/s2.$classes"
done

# Pixels that a sensor does not see (clouds, the image's rim) are left out for both.
for classes in "$SIMPLE" "$COMPLEX"; do
    title "Table 2, SPOT and S2: $classes"
    score "sensor_comparison/$classes" "$classes" --ignore-unclassified \
        --name SPOT "$shared/spot.$classes.*.map.tif" --name S2 "$shared/s2.$classes.*.map.tif"
done
echo "tables and pictures: $OUTPUT/sensor_comparison; maps and models: $shared"
