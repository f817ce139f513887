#!/usr/bin/env bash
# The map of a year, unattended: new imagery in; map, change map, areas and scores out.
#
#     annual-update.sh annual-update.conf [YEAR]
#
# Start it as often as you like, from cron or the timer beside it. What is done is not done again,
# which takes a second; what was interrupted goes on; what changed, as a scene that was delivered
# anew, is made again with all that follows from it. Where the year has no imagery yet, there is
# nothing to do. The first command that fails ends it, with its exit code: 75 is that another run is
# at work.
#
# MAPS/YEAR holds new.tif, confidence.tif and probabilities.tif: the year by itself; map.tif: last
# year's map, changed where the evidence says so; changes.tif: from what to what; areas.csv and
# areas.json: hectares by class and from-to, by zone; scores.json and scores.txt. In the first year
# map.tif is the year by itself.
set -euo pipefail

if [[ $# -lt 1 || $# -gt 2 ]]; then
    echo "usage: $0 annual-update.conf [YEAR]" >&2
    exit 2
fi
IMAGERY='' MODEL='' MAPS='' MARGIN='' MIN_CHANGE='' ZONES='' REFERENCE='' PREDICTING='' SCORING=''
while IFS='=' read -r name value; do
    case $name in
        '' | '#'*) ;;
        IMAGERY | MODEL | MAPS | MARGIN | MIN_CHANGE | ZONES | REFERENCE | PREDICTING | SCORING)
            printf -v "$name" '%s' "$value"
            ;;
        *)
            echo "$1: $name is no setting; see annual-update.conf" >&2
            exit 2
            ;;
    esac
done < "$1"
for name in IMAGERY MODEL MAPS; do
    if [[ -z ${!name} ]]; then
        echo "$1: $name is not set; see annual-update.conf" >&2
        exit 2
    fi
done
year=${2:-$(date +%Y)}
if [[ ! $year =~ ^[0-9]{4}$ ]]; then
    echo "$year: is no year; give one as in 2026" >&2
    exit 2
fi
imagery=${IMAGERY//%Y/$year}
if [[ ! -e $imagery ]]; then
    echo "$imagery: not there yet, so there is nothing to do" >&2
    exit 0
fi

# the map of the newest year before
last=''
for map in "$MAPS"/[0-9][0-9][0-9][0-9]/map.tif; do
    of=$(basename "$(dirname "$map")")
    if [[ -e $map && $of < $year ]]; then
        last=$map
    fi
done

made=$MAPS/$year
mkdir -p "$made"
read -ra predicting <<< "$PREDICTING"
read -ra scoring <<< "$SCORING"
beside=(--confidence "$made/confidence.tif" --probabilities "$made/probabilities.tif")
zones=()
if [[ -n $ZONES ]]; then
    zones=(--zones "$ZONES")
fi

if [[ -z $last ]]; then
    lcmap predict "$imagery" -m "$MODEL" -o "$made/map.tif" "${beside[@]}" "${predicting[@]}"
    lcmap areas "$made/map.tif" "${zones[@]}" -o "$made/areas.csv" -o "$made/areas.json"
else
    lcmap predict "$imagery" -m "$MODEL" -o "$made/new.tif" "${beside[@]}" "${predicting[@]}"
    lcmap update "$last" "$made/new.tif" --probabilities "$made/probabilities.tif" \
        ${MARGIN:+--margin "$MARGIN"} ${MIN_CHANGE:+--min-change "$MIN_CHANGE"} \
        --changes "$made/changes.tif" -o "$made/map.tif"
    lcmap areas "$last" "$made/map.tif" "${zones[@]}" -o "$made/areas.csv" -o "$made/areas.json"
fi
if [[ -n $REFERENCE ]]; then
    lcmap score "$made/map.tif" --reference "${REFERENCE//%Y/$year}" "${scoring[@]}" \
        -o "$made/scores.json" -o "$made/scores.txt"
fi
