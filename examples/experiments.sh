# What the paper's experiments share; sourced by sensor_comparison.sh, stability.sh, fusion.sh,
# oso.sh and entries.sh, which say how to run them.
#
# Settings are environment variables. Lists are separated by spaces; patterns (*) are allowed.
#
#   SPOT        metric images; without it everything below is that of the shipped data
#   S2          Sentinel-2 images, one for all SPOT images or one for each in their order, on any
#               grid; the paper's synthesis of a month is what lcmap prepare --period makes of the
#               products' folders
#   OSO         label maps, likewise
#   SERIES      folders of Sentinel-2's dates, likewise
#   REFERENCE   vector databases: BD TOPO, BD Forêt, RPG, ...
#
#   SIMPLE, COMPLEX              the two nomenclatures [topo6, topo18]
#   RULES_SIMPLE, RULES_COMPLEX  how REFERENCE becomes their labels [bdtopo-topo6, bdtopo-topo18]
#   CROSSWALK                    from COMPLEX to SIMPLE [topo18:topo6]
#
#   OSO_CLASSES                  the nomenclature of OSO [oso23]
#   ADAPTED, RULES_ADAPTED       the one that it is brought to [oso-reclass, bdtopo-oso-reclass]
#   ADAPTATION                   the crosswalk between them [oso23:oso-reclass]
#   KEPT                         the classes of ADAPTED that OSO has too [1-14]
#
#   TILING, TRAINING, SCORING    options of lcmap prepare, lcmap train and lcmap score [none]
#   SEED                         of the split, of training and of the intervals [0]
#   OUTPUT                       the folder to write [experiments]
#
# What is in OUTPUT is kept: a run that was interrupted goes on where it was. Other settings take
# another OUTPUT. OUTPUT/shared holds what several experiments need: references, stacks, the models
# and maps of one sensor.
#
# The shipped data stand in for the paper's in their place in the chain, no more: aerial images at
# 0.8 m for SPOT, the same images averaged to 10 m for Sentinel-2 (four bands, none beyond the near
# infrared: a simulated coarse sensor), a Random Forest's classification of these for OSO, and dates
# that benchmarks/seasons.py simulates from the labels for SERIES. Their
# settings make small networks in a few steps. The scores show the form of the tables and say
# nothing about sensors or methods. ZONES="suburb" takes one of the three zones.

examples=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

if [ -z "${SPOT:-}" ]; then
    data=$examples/data
    SPOT='' S2='' OSO='' SERIES=''
    for zone in ${ZONES:-suburb vineyards lagoon}; do
        SPOT+=" $data/${zone}_rgbn.tif"
        S2+=" $data/${zone}_coarse.tif"
        OSO+=" $data/${zone}_oso_like.tif"
        SERIES+=" ${OUTPUT:-$examples/output}/simulated/${zone}"
    done
    REFERENCE=$data/reference.gpkg
    SIMPLE=flair7 RULES_SIMPLE=$examples/reference-flair7.toml
    COMPLEX=flair19 RULES_COMPLEX=$examples/reference-flair19.toml
    OSO_CLASSES=oso23 KEPT=2-7 # all but buildings
    ADAPTED=flair7 RULES_ADAPTED=$RULES_SIMPLE
    TILING=${TILING:---tile-size 128}
    TRAINING=${TRAINING:---width 8 --batch-size 4 --epochs 2}
    SCORING=${SCORING:---block 128 --bootstrap 200}
    OUTPUT=${OUTPUT:-$examples/output}
fi
SIMPLE=${SIMPLE:-topo6} RULES_SIMPLE=${RULES_SIMPLE:-bdtopo-$SIMPLE}
COMPLEX=${COMPLEX:-topo18} RULES_COMPLEX=${RULES_COMPLEX:-bdtopo-$COMPLEX}
CROSSWALK=${CROSSWALK:-$COMPLEX:$SIMPLE}
OSO_CLASSES=${OSO_CLASSES:-oso23} KEPT=${KEPT:-1-14}
ADAPTED=${ADAPTED:-oso-reclass} RULES_ADAPTED=${RULES_ADAPTED:-bdtopo-$ADAPTED}
ADAPTATION=${ADAPTATION:-$OSO_CLASSES:$ADAPTED}
TILING=${TILING:-} TRAINING=${TRAINING:-} SCORING=${SCORING:-}
SEED=${SEED:-0} OUTPUT=${OUTPUT:-experiments}
shared=$OUTPUT/shared

# begin EXPERIMENT INPUT...: check that the inputs are given, and that what OUTPUT holds already was
# made with the same settings. From then on standard output is for the tables alone (file 3), and
# what the commands say goes to standard error.
begin() {
    local name files known
    for name in "${@:2}"; do
        [ -n "${!name:-}" ] || refuse "$1: $name is not set; set it beside SPOT, see $examples/$1.sh"
    done
    [ -z "$(zones | sort | uniq -d)" ] ||
        refuse "$1: two images of SPOT have the same name; rename one"
    for name in S2 OSO SERIES; do
        files=(${!name:-})
        [ ${#files[@]} -le 1 ] || [ ${#files[@]} -eq "$(zones | wc -l)" ] ||
            refuse "$1: $name has ${#files[@]} files; give one, or one for each image of SPOT"
    done
    mkdir -p "$shared" "$OUTPUT/$1"
    for name in "${@:2}" SIMPLE COMPLEX RULES_SIMPLE RULES_COMPLEX CROSSWALK OSO_CLASSES ADAPTED \
        RULES_ADAPTED ADAPTATION TILING TRAINING SEED; do
        known=$(grep "^$name=" "$OUTPUT/settings" 2>/dev/null || true)
        [ -n "$known" ] || echo "$name=${!name}" >>"$OUTPUT/settings"
        [ -z "$known" ] || [ "$known" = "$name=${!name}" ] ||
            refuse "$1: $OUTPUT was made with $known; set OUTPUT, or remove that folder"
    done
    exec 3>&1 >&2
}

# refuse MESSAGE: end with a message and the exit code of wrong usage.
refuse() {
    echo "$1" >&2
    exit 2
}

# zones: the names of the images of SPOT.
zones() {
    local image
    for image in $SPOT; do
        basename "${image%.*}"
    done
}

# of_zone ZONE LIST: the file of a list like $S2 that goes with a zone.
of_zone() {
    local number files
    number=$(zones | grep -nxF -- "$1" | cut -d: -f1)
    files=($2)
    [ ${#files[@]} -gt 1 ] || number=1
    echo "${files[number - 1]}"
}

# reference ZONE NOMENCLATURE: burn the vector databases to labels on the grid of SPOT.
reference() {
    local image rules=$RULES_ADAPTED
    image=$(of_zone "$1" "$SPOT")
    [ "$2" = "$SIMPLE" ] && rules=$RULES_SIMPLE
    [ "$2" = "$COMPLEX" ] && rules=$RULES_COMPLEX
    [ -e "$shared/reference.$2.$1.tif" ] ||
        lcmap rasterize-ref $REFERENCE --rules "$rules" --like "$image" \
            -o "$shared/reference.$2.$1.tif"
}

# split_tiles ZONE: cut SPOT into tiles for training, validation and test. A spatial split looks at
# the labels, so it is made once, for the classes of COMPLEX, and all experiments take it over:
# sensors and nomenclatures meet the same ground.
split_tiles() {
    local image
    image=$(of_zone "$1" "$SPOT")
    reference "$1" "$COMPLEX"
    [ -e "$shared/split.$1.tiles.geojson" ] ||
        lcmap prepare "$image" --labels "$shared/reference.$COMPLEX.$1.tif" --seed "$SEED" \
            $TILING --tiles "$shared/split.$1.tiles.geojson" \
            -o "$shared/split.$1.tif" --overwrite
}

# stacks NAME NOMENCLATURE IMAGES [SIDES MEANING]...: stack the images on the grid of SPOT with
# their labels, quantiles and tiles, as NAME.ZONE.*; side inputs stay on their own grid. They are
# resampled bilinearly and scaled by the quantiles of their own pixels: so is an image that is
# brought onto the grid here, that a sensor alone is the sensor that fusion sees. MEANING is what
# lcmap prepare --side takes after the file, as :oso23, or nothing.
stacks() {
    local zone image grid side number
    for zone in $(zones); do
        image=$(of_zone "$zone" "$3")
        grid=$(of_zone "$zone" "$SPOT")
        split_tiles "$zone"
        reference "$zone" "$2"
        side=()
        for ((number = 4; number <= $#; number += 2)); do
            side+=(--side "$(of_zone "$zone" "${!number}")${*:number+1:1}")
        done
        [ -e "$1.$zone.quantiles.json" ] ||
            lcmap prepare --quantiles-of "$image" -o "$1.$zone.quantiles.json"
        [ -e "$1.$zone.tiles.geojson" ] ||
            lcmap prepare "$image" --like "$grid" ${side[@]+"${side[@]}"} \
                --resampling bilinear --quantiles "$1.$zone.quantiles.json" \
                --labels "$shared/reference.$2.$zone.tif" \
                --tiles "$1.$zone.tiles.geojson" --tiles-like "$shared/split.$zone.tiles.geojson" \
                -o "$1.$zone.stack.tif" --overwrite
    done
}

# learn NAME: train NAME.onnx on the tiles of all images.
learn() {
    [ -e "$1.onnx" ] ||
        lcmap train "$1".*.tiles.geojson -o "$1.onnx" --seed "$SEED" --resume $TRAINING
}

# one_sensor SENSOR NOMENCLATURE: a model of spot or s2 alone, in OUTPUT/shared. Sentinel-2 is
# resampled to the grid of SPOT (paper, section 3.2): both networks see the same ground.
one_sensor() {
    local images=$SPOT
    [ "$1" = spot ] || images=$S2
    stacks "$shared/$1.$2" "$2" "$images"
    learn "$shared/$1.$2"
}

# one_sensor_maps SENSOR NOMENCLATURE: its model, and a map of each image.
one_sensor_maps() {
    local zone
    one_sensor "$1" "$2"
    for zone in $(zones); do
        [ -e "$shared/$1.$2.$zone.map.tif" ] ||
            lcmap predict "$shared/$1.$2.$zone.stack.tif" -m "$shared/$1.$2.onnx" \
                -o "$shared/$1.$2.$zone.map.tif" --qml --overwrite
    done
}

# score TABLE NOMENCLATURE MAPS...: score maps, quoted patterns or options of lcmap score, on the
# test tiles of all images; print the table, and keep it as OUTPUT/TABLE.txt, .csv and .json.
score() {
    local zone test=()
    for zone in $(zones); do
        test+=(--tiles "$shared/split.$zone.tiles.geojson")
    done
    lcmap score "${@:3}" --reference "$shared/reference.$2.*.tif" "${test[@]}" --split test \
        --seed "$SEED" $SCORING -o "$OUTPUT/$1.txt" -o "$OUTPUT/$1.csv" -o "$OUTPUT/$1.json" \
        --overwrite >&3
}

# title TEXT: a headline above a table.
title() {
    printf '\n== %s\n\n' "$1" >&3
}

# picture FILE NOMENCLATURE TITLES MAPS...: draw each image, its reference and maps side by side;
# TITLES are those of the maps, MAPS what comes before .ZONE.map.tif in their names.
picture() {
    local zone maps files=()
    for zone in $(zones); do
        files+=("$(of_zone "$zone" "$SPOT")" "$shared/reference.$2.$zone.tif")
        for maps in "${@:4}"; do
            files+=("$maps.$zone.map.tif")
        done
    done
    python "$examples/side_by_side.py" "$OUTPUT/$1" "image,reference,$3" "${files[@]}"
}
