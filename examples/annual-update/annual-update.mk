# The same as annual-update.sh, for make: it starts only what is older than what it is made of.
#
#     make -f annual-update.mk SETTINGS=annual-update.conf YEAR=2026
#
# Other settings do not make anything anew here, as they do in the script.
SETTINGS ?= annual-update.conf
YEAR ?= $(shell date +%Y)
include $(SETTINGS)

imagery := $(subst %Y,$(YEAR),$(IMAGERY))
made := $(MAPS)/$(YEAR)
before := $(shell ls -d $(MAPS)/[0-9][0-9][0-9][0-9]/map.tif 2>/dev/null | \
	awk -F/ -v year=$(YEAR) '$$(NF - 1) < year')
last := $(lastword $(sort $(before)))
scenes := $(imagery) $(wildcard $(imagery)/*)
beside = --confidence $(made)/confidence.tif --probabilities $(made)/probabilities.tif
zones = $(if $(ZONES),--zones $(ZONES))

all: $(made)/map.tif $(made)/areas.csv $(if $(REFERENCE),$(made)/scores.json)
.PHONY: all

ifeq ($(last),)
$(made)/map.tif: $(scenes) $(MODEL)
	mkdir -p $(made)
	lcmap predict $(imagery) -m $(MODEL) -o $@ $(beside) $(PREDICTING)
else
$(made)/new.tif: $(scenes) $(MODEL)
	mkdir -p $(made)
	lcmap predict $(imagery) -m $(MODEL) -o $@ $(beside) $(PREDICTING)

$(made)/map.tif: $(last) $(made)/new.tif
	lcmap update $(last) $(made)/new.tif --probabilities $(made)/probabilities.tif \
		$(if $(MARGIN),--margin $(MARGIN)) $(if $(MIN_CHANGE),--min-change $(MIN_CHANGE)) \
		--changes $(made)/changes.tif -o $@
endif

$(made)/areas.csv: $(last) $(made)/map.tif $(firstword $(wildcard $(ZONES)) $(subst :, ,$(ZONES)))
	lcmap areas $(last) $(made)/map.tif $(zones) -o $@ -o $(made)/areas.json

$(made)/scores.json: $(made)/map.tif $(subst %Y,$(YEAR),$(REFERENCE))
	lcmap score $(made)/map.tif --reference $(subst %Y,$(YEAR),$(REFERENCE)) $(SCORING) \
		-o $@ -o $(made)/scores.txt
