"""The STAC item keeps the rules of the MLM extension's schema, version 1.5."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import pytest

from lcmap.model_file import ModelMetadata, stac_item


@pytest.mark.parametrize("name", ["model.onnx", "2018-é.onnx", "x.onnx", "___.onnx"])
def test_the_schemas_rules(metadata: ModelMetadata, name: str) -> None:
    item = stac_item(metadata, f"/some/where/{name}", datetime(2026, 1, 2, tzinfo=UTC))
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
    assert item["geometry"] is None and "bbox" not in item  # STAC 1.1: null, and then no bbox
    assert asset["href"] == f"./{name}"
