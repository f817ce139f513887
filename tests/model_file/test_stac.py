"""The STAC item keeps the rules of the MLM extension's schema, version 1.5."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from lcmap.model_file import ModelInput, ModelMetadata, stac_item

MLM_SCHEMA_FILE = Path(__file__).parent.parent / "data" / "stac_mlm" / "schema.json"
CREATED = datetime(2026, 1, 2, tzinfo=UTC)
BOUNDS = [1.25, 42.5, 1.5, 42.75]


@pytest.mark.parametrize("name", ["model.onnx", "2018-é.onnx", "x.onnx", "___.onnx"])
def test_the_schemas_rules(metadata: ModelMetadata, name: str) -> None:
    item = stac_item(metadata, f"/some/where/{name}", CREATED)
    item = json.loads(json.dumps(item))
    properties = item["properties"]
    assert item["stac_extensions"] == ["https://stac-extensions.github.io/mlm/v1.5.0/schema.json"]
    assert re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_.\-\s]+[a-zA-Z0-9]", properties["mlm:name"])
    assert properties["datetime"] == "2026-01-02T00:00:00Z"
    for key in ("mlm:architecture", "mlm:tasks", "mlm:input", "mlm:output"):
        assert properties[key]
    for key in properties["mlm:hyperparameters"]:
        assert re.fullmatch(r"[0-9a-zA-Z_.-]+", key)
    # named bands need their description among the item's bands, and a dimension "bands"
    (model_input,) = properties["mlm:input"]
    assert model_input["bands"] == [band["name"] for band in properties["bands"]]
    assert "bands" in model_input["input"]["dim_order"]
    assert model_input["input"]["shape"] == [-1, 4, 512, 512]
    assert [s["minimum"] for s in model_input["value_scaling"]] == [30.0, 35.0, 38.0, 21.0]
    for output_class in properties["mlm:output"][0]["classification:classes"]:
        assert re.fullmatch(r"[0-9A-Za-z-_]+", output_class["name"])
        assert re.fullmatch(r"[0-9a-fA-F]{6}", output_class["color_hint"])
    (asset,) = item["assets"].values()
    assert asset["roles"] == ["mlm:model"] and asset["mlm:artifact_type"]
    assert asset["bands"] == properties["bands"]
    assert asset["href"] == f"./{quote(name)}"


def placed(metadata: ModelMetadata, bounds: Any) -> ModelMetadata:
    return dataclasses.replace(metadata, training=metadata.training | {"bounds": bounds})


@pytest.mark.parametrize("bounds", [BOUNDS, None])
@pytest.mark.parametrize("inputs", [1, 2])
@pytest.mark.parametrize("name", ["model.onnx", "my modèle.onnx"])
def test_the_core_schema_of_stac(
    metadata: ModelMetadata, bounds: list[float] | None, inputs: int, name: str
) -> None:
    local = pytest.importorskip("pystac.validation.local_validator")
    jsonschema = pytest.importorskip("jsonschema")
    referencing = pytest.importorskip("referencing")
    if inputs == 2:
        side = ModelInput("s2", "image", ("B2", "B3"), "uint16", 10.0)
        metadata = dataclasses.replace(metadata, inputs=(*metadata.inputs, side))
    item = json.loads(json.dumps(stac_item(placed(metadata, bounds), f"/some/{name}", CREATED)))
    schemas = local.get_local_schema_cache()
    (uri,) = (uri for uri in schemas if uri.endswith("/item.json"))
    assert f"/v{item['stac_version']}/" in uri
    registry = referencing.Registry().with_resources(
        (uri, referencing.Resource.from_contents(schema)) for uri, schema in schemas.items()
    )
    validator = jsonschema.Draft7Validator(schemas[uri], registry=registry)
    assert [error.message for error in validator.iter_errors(item)] == []


@pytest.mark.parametrize("bounds", [BOUNDS, None])
def test_the_schema_of_the_extension(metadata: ModelMetadata, bounds: list[float] | None) -> None:
    """What it refers to of other extensions is in `test_the_schemas_rules`."""
    jsonschema = pytest.importorskip("jsonschema")
    referencing = pytest.importorskip("referencing")
    schema = json.loads(MLM_SCHEMA_FILE.read_bytes())
    anything: dict[str, Any] = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "definitions": {
            "fields": {"properties": {"classification:classes": {}, "processing:expression": {}}},
            "bands": {"items": {"properties": {"data_type": {}}}},
        },
    }
    registry = referencing.Registry(
        retrieve=lambda uri: referencing.Resource.from_contents(anything)
    )
    validator = jsonschema.Draft7Validator(schema, registry=registry)
    item = json.loads(json.dumps(stac_item(placed(metadata, bounds), "model.onnx", CREATED)))
    assert item["stac_extensions"] == [schema["$id"].removesuffix("#")]
    assert [error.message for error in validator.iter_errors(item)] == []
    del item["properties"]["mlm:tasks"]
    assert list(validator.iter_errors(item))


def test_the_place_is_that_of_the_training_tiles(metadata: ModelMetadata) -> None:
    item = stac_item(placed(metadata, BOUNDS), "model.onnx", CREATED)
    west, south, east, north = item["bbox"]
    assert [west, south, east, north] == BOUNDS
    (ring,) = item["geometry"]["coordinates"]
    assert ring[0] == ring[-1] and len(ring) == 5
    assert {tuple(corner) for corner in ring} == {
        (west, south), (east, south), (east, north), (west, north),
    }  # fmt: skip
    # counterclockwise, as RFC 7946 wants it
    assert sum((b[0] - a[0]) * (b[1] + a[1]) for a, b in itertools.pairwise(ring)) < 0
    assert "bounds" not in item["properties"]["mlm:hyperparameters"]
    # STAC 1.1: a geometry may be null, and then there is no bbox
    nowhere = stac_item(metadata, "model.onnx", CREATED)
    assert nowhere["geometry"] is None and "bbox" not in nowhere
