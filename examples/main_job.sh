#!/usr/bin/env bash
# The main job on the data in examples/data: from imagery and a vector reference to a trained
# model, maps with their confidence, a table of scores and a picture. Writes examples/output.
#
#     make example          or, where lcmap is installed: bash examples/main_job.sh
set -euo pipefail
cd "$(dirname "$0")"
minutes=${MINUTES:-1.5} # of training; more is better
zones="suburb vineyards lagoon"
mkdir -p output

for zone in $zones; do
    lcmap rasterize-ref data/reference.gpkg --rules reference-flair7.toml \
        --like "data/${zone}_rgbn.tif" -o "output/$zone.ref.tif" --overwrite
    lcmap prepare "data/${zone}_rgbn.tif" --labels "output/$zone.ref.tif" --nomenclature flair7 \
        --tiles "output/$zone.tiles.geojson" --tile-size 128 --seed 0 \
        -o "output/$zone.stack.tif" --overwrite
done

lcmap train output/*.tiles.geojson -o output/model.onnx --minutes "$minutes" --seed 0 --overwrite

references=()
tiles=()
images=()
pictures=()
for zone in $zones; do
    lcmap predict "output/$zone.stack.tif" -m output/model.onnx -o "output/$zone.map.tif" \
        --confidence "output/$zone.confidence.tif" --qml --overwrite
    references+=(--reference "data/${zone}_labels.tif")
    tiles+=(--tiles "output/$zone.tiles.geojson")
    images+=(--image "output/$zone.stack.tif")
    pictures+=("output/$zone.stack.tif" "output/$zone.ref.tif" "output/$zone.map.tif")
done

# Scored on the test tiles against the labels drawn by hand, which the network never saw.
lcmap score "output/*.map.tif" --name "this map" "${references[@]}" \
    --reference-crosswalk flair19:flair7 "${tiles[@]}" --split test --block 128 -o output/score.json --overwrite \
    --report output/report.html "${images[@]}" --confidence "output/*.confidence.tif"

python side_by_side.py output/side_by_side.png image,reference,map "${pictures[@]}"
echo "maps, confidence, report.html and side_by_side.png are in examples/output"
