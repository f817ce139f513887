"""The first operators of a tile's graph: from pixels as they are stored to what the network takes.

Scaling and one channel per class cost a pass over memory each outside of the graph; inside, the
runtimes compute them in one pass on all cores. The arithmetic is that of
`lcmap.dataset.normalisation`, operator by operator.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from lcmap.dataset.encoding import Encoding, OneHot, Scaling


def entry_names(name: str, encoding: Encoding) -> tuple[str, ...]:
    """Return the inputs that a graph has for an input of the model, in order.

    An image has its pixels [1, C, H, W] and where they are valid, uint8 [1, 1, H, W]; a label map
    its indices, uint8 [1, 1, H, W].
    """
    match encoding:
        case Scaling():
            return f"{name} pixels", f"{name} valid"
        case OneHot():
            return (f"{name} indices",)
        case None:
            return (name,)


def with_entries(model: onnx.ModelProto, encodings: Mapping[str, Encoding]) -> onnx.ModelProto:
    """Return a graph that takes its inputs as they are stored; None leaves one as it is."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    nodes: list[onnx.NodeProto] = []
    given = list(graph.input)
    del graph.input[:]
    for value in given:
        encoding = encodings.get(value.name)
        names = entry_names(value.name, encoding)
        if isinstance(encoding, Scaling):
            kind = helper.np_dtype_to_tensor_dtype(np.dtype(encoding.dtype))
            graph.input.extend([_like(value, names[0], kind), _like(value, names[1], _UINT8, 1)])
            nodes.extend(_scaled(graph, value.name, names, encoding))
        elif isinstance(encoding, OneHot):
            graph.input.append(_like(value, names[0], _UINT8, 1))
            nodes.extend(_one_hot(graph, value.name, names, encoding))
        else:
            graph.input.append(value)
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *rest])
    return changed


_UINT8 = TensorProto.UINT8


def _like(
    value: onnx.ValueInfoProto, name: str, kind: int, channels: int | None = None
) -> onnx.ValueInfoProto:
    """Return an input of the same height and width."""
    changed = onnx.ValueInfoProto()
    changed.CopyFrom(value)
    changed.name = name
    changed.type.tensor_type.elem_type = kind
    if channels is not None:
        changed.type.tensor_type.shape.dim[1].dim_value = channels
    return changed


def _scaled(
    graph: onnx.GraphProto, name: str, given: tuple[str, ...], scaling: Scaling
) -> list[onnx.NodeProto]:
    pixels, valid = given
    low = _per_channel(graph, f"{name} low", scaling.low)
    factor = _per_channel(graph, f"{name} factor", scaling.factor)
    numbers, above, scaled, share = (
        f"{name} {step}" for step in ("numbers", "above low", "scaled", "share")
    )
    return [
        helper.make_node("Cast", [pixels], [numbers], to=TensorProto.FLOAT),
        helper.make_node("Sub", [numbers, low], [above]),
        helper.make_node("Mul", [above, factor], [scaled]),
        helper.make_node("Cast", [valid], [share], to=TensorProto.FLOAT),
        helper.make_node("Mul", [scaled, share], [name]),
    ]


def _one_hot(
    graph: onnx.GraphProto, name: str, given: tuple[str, ...], one_hot: OneHot
) -> list[onnx.NodeProto]:
    (indices,) = given
    channel = _per_channel(graph, f"{name} channel", np.arange(one_hot.classes, dtype=np.int32))
    numbers, equal = f"{name} numbers", f"{name} equal"
    return [
        helper.make_node("Cast", [indices], [numbers], to=TensorProto.INT32),
        helper.make_node("Equal", [numbers, channel], [equal]),
        helper.make_node("Cast", [equal], [name], to=TensorProto.FLOAT),
    ]


def _per_channel(graph: onnx.GraphProto, name: str, values: npt.NDArray[np.generic]) -> str:
    graph.initializer.append(numpy_helper.from_array(values.reshape(1, -1, 1, 1), name))
    return name
