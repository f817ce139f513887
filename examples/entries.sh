#!/usr/bin/env bash
# Three entries in one network: SPOT, Sentinel-2's dates as a series, and an existing map; and what
# each of them gives, as a table of the same network without it (paper, section 7: "a third entry").
#
#     bash examples/entries.sh                          on the shipped data, or on your own:
#     SPOT="a.tif b.tif" SERIES="s2_a/ s2_b/" OSO=oso_2018.tif REFERENCE="bdtopo.gpkg rpg.gpkg" \
#         bash examples/entries.sh
#
# A folder of SERIES holds the dates of one image, each a raster whose tags or name say its day. Of
# the shipped data there are none: benchmarks/seasons.py simulates them from the labels, so what
# they give says nothing about real ones. experiments.sh lists all settings. Writes OUTPUT/entries
# and OUTPUT/shared.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/experiments.sh"
begin entries SPOT SERIES OSO REFERENCE
if [ -n "${data:-}" ]; then
    for zone in $(zones); do
        folder=$OUTPUT/simulated/${zone%_rgbn}
        [ -e "$folder" ] ||
            python "$examples/../benchmarks/seasons.py" "$data/${zone%_rgbn}_labels.tif" \
                -o "$folder.part"
        [ -e "$folder" ] || { mkdir -p "$folder" && mv "$folder.part"/*_s2_*.tif "$folder"; }
    done
fi

here=$OUTPUT/entries/$SIMPLE
stacks "$here" "$SIMPLE" "$SPOT" "$SERIES" ":series" "$OSO" ":$OSO_CLASSES"
learn "$here"
for zone in $(zones); do
    inputs=("$here.$zone.stack.tif" "$(of_zone "$zone" "$SERIES")"
        "$(of_zone "$zone" "$OSO"):$OSO_CLASSES")
    for left_out in none side1 side2 "side1 side2"; do
        without=()
        for entry in ${left_out/none/}; do
            without+=(--without "$entry")
        done
        map=$here.${left_out// /-}.$zone.map.tif
        [ -e "$map" ] ||
            lcmap fuse "${inputs[@]}" -m "$here.onnx" --allow-missing \
                ${without[@]+"${without[@]}"} -o "$map" --qml --overwrite
    done
done
picture "entries/$SIMPLE.png" "$SIMPLE" "all entries,without series,without map,image alone" \
    "$here.none" "$here.side1" "$here.side2" "$here.side1-side2"

title "What each entry gives the network: $SIMPLE"
score "entries/$SIMPLE" "$SIMPLE" \
    --name "all entries" "$here.none.*.map.tif" --name "without series" "$here.side1.*.map.tif" \
    --name "without map" "$here.side2.*.map.tif" \
    --name "without both" "$here.side1-side2.*.map.tif"
echo "tables, picture and maps: $OUTPUT/entries"
