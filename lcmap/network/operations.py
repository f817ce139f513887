"""Normalisation, mirror padding, max pooling that keeps its indices, and unpooling.

Each is written twice: in operations that ONNX has and its runtimes compute fast (`plain_*`), and
for the speed of training. On a processor such operations wait for memory, so what would be
normalised, rectified, unpooled and concatenated first, and padded then, is written at once into the
padded buffer that the next convolution reads. Both pool and unpool to the same bits, ties included.

Shapes: N images, C channels, H × W pixels; a level below has h × w = H/2 × W/2.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class NormReluPad(nn.BatchNorm2d):
    """Batch normalisation, then ReLU, then one mirrored pixel on each side.

    Its state is that of `torch.nn.BatchNorm2d`, and so are its statistics: float32, also of what is
    bfloat16.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, C, H+2, W+2] from x [N, C, H, W]."""
        if torch.compiler.is_exporting() or x.device.type != "cpu":
            return mirror_pad(F.relu(super().forward(x), inplace=True))
        if self.training:
            _tensor(self.num_batches_tracked).add_(1)
        return _tensor(_apply(_NormReluPad, x, self.weight, self.bias, self))


def mirror_pad(x: Tensor) -> Tensor:
    """Return x [N, C, H, W] with one mirrored pixel on each side, [N, C, H+2, W+2]."""
    if torch.compiler.is_exporting():
        return plain_mirror_pad(x)
    return _tensor(_apply(_MirrorPad, x))


def max_pool(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the 2 × 2 maxima of x [N, C, H, W], [N, C, h, w], and where they lay.

    Where several pixels of a cell are its maximum, the first counts. Where they lay is for
    `unpool_and_join` alone: PyTorch's indices [N, C, h, w], or in the plain form a mask
    [N, C, H, W].
    """
    if torch.compiler.is_exporting():
        return plain_max_pool(x)
    return F.max_pool2d(x, 2, return_indices=True)


def unpool_and_join(x: Tensor, indices: Tensor, skip: Tensor) -> Tensor:
    """Return x [N, C, h, w] unpooled, joined by skip [N, S, H, W], with one mirrored pixel around.

    Each value goes back to the pixel that its maximum came from, zeros elsewhere. The result is
    [N, C+S, H+2, W+2]. `indices` are those of `max_pool`.
    """
    if torch.compiler.is_exporting():
        return plain_mirror_pad(torch.cat((plain_unpool(x, indices), skip), dim=1))
    return _tensor(_apply(_UnpoolAndJoin, x, indices, skip))


def pixels_to_cells(x: Tensor) -> Tensor:
    """Return the pixels of x [N, C, H, W] by cells of 2 × 2, [N, 4·C, h, w].

    The first C channels hold a cell's first pixel in reading order, the next its second.
    """
    n, c, height, width = x.shape
    if torch.compiler.is_exporting():
        return torch.onnx.ops.symbolic(
            "SpaceToDepth", (x,), {"blocksize": 2},
            dtype=x.dtype, shape=(n, 4 * c, height // 2, width // 2),
        )  # fmt: skip
    return _cells(x).permute(0, 3, 5, 1, 2, 4).flatten(1, 3)


def cells_to_pixels_and_join(x: Tensor, feature: Tensor) -> Tensor:
    """Return x [N, 4·C, h, w] by pixels, joined by a feature [N, F, H, W], with a mirrored rim.

    The pixels lie in x as `pixels_to_cells` lays them. The result is [N, C+F, H+2, W+2].
    """
    if torch.compiler.is_exporting():
        n, c, height, width = x.shape
        pixels = torch.onnx.ops.symbolic(
            "DepthToSpace", (x,), {"blocksize": 2, "mode": "DCR"},
            dtype=x.dtype, shape=(n, c // 4, 2 * height, 2 * width),
        )  # fmt: skip
        return plain_mirror_pad(torch.cat((pixels, feature), dim=1))
    return _tensor(_apply(_CellsToPixelsAndJoin, x, feature))


def plain_mirror_pad(x: Tensor) -> Tensor:
    """Return what `mirror_pad` returns."""
    return F.pad(x, (1, 1, 1, 1), mode="reflect")


def plain_max_pool(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the maxima [N, C, h, w], and which pixels they came from, bool [N, C, H, W].

    Of the pixels that equal their cell's maximum it is the first, found without indices, gathers
    and strided views, which runtimes compute slowly: the pixels of a cell are numbered from 4 down
    to 1, and the highest number among the equal ones wins.
    """
    maxima = F.max_pool2d(x, 2)
    # of one channel, and a convolution, so that it follows the size of x in the exported graph
    ones = torch.ones_like(maxima[:, :1])
    numbers = F.conv_transpose2d(ones, x.new_tensor([[[[4.0, 3.0], [2.0, 1.0]]]]), stride=2)
    candidates = (x == _upsampled(maxima)).to(x.dtype) * numbers
    return maxima, candidates == _upsampled(F.max_pool2d(candidates, 2))


def plain_unpool(x: Tensor, is_maximum: Tensor) -> Tensor:
    """Return x [N, C, h, w] unpooled to [N, C, H, W], zeros beside the maxima."""
    return _upsampled(x) * is_maximum


def _upsampled(x: Tensor) -> Tensor:
    """Return x [N, C, h, w] with every pixel laid over its cell, [N, C, H, W]."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def _buffer(like: Tensor, channels: int, height: int, width: int) -> Tensor:
    return torch.empty(
        (like.shape[0], channels, height, width),
        dtype=like.dtype,
        device=like.device,
        memory_format=torch.channels_last,
    )


def _inside(padded: Tensor) -> Tensor:
    """Return what is not rim, [N, C, H, W], as a view."""
    return padded[:, :, 1:-1, 1:-1]


def _rim(padded: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the outermost rows, [N, C, W+2], and columns between them, [N, C, H], as views."""
    return padded[:, :, 0], padded[:, :, -1], padded[:, :, 1:-1, 0], padded[:, :, 1:-1, -1]


def _fill_rim(padded: Tensor) -> None:
    """Mirror the inside of `padded` onto its outermost rows and columns, in place."""
    padded[:, :, 0, 1:-1] = padded[:, :, 2, 1:-1]
    padded[:, :, -1, 1:-1] = padded[:, :, -3, 1:-1]
    padded[..., 0] = padded[..., 2]
    padded[..., -1] = padded[..., -3]


def _add_rim(inside: Tensor, rim: Iterable[Tensor]) -> None:
    """Add the gradients of a rim, ordered as in `_rim`, where it was mirrored from, in place."""
    top, bottom, left, right = rim
    inside[..., 1] += left
    inside[..., -2] += right
    for row, onto in ((top, 1), (bottom, -2)):
        folded = row[..., 1:-1].clone()
        folded[..., 1] += row[..., 0]
        folded[..., -2] += row[..., -1]
        inside[:, :, onto] += folded


def _fold_rim(gradient: Tensor) -> Tensor:
    """Return the inside of a padded gradient with the rim's added where it was mirrored from."""
    inside = _inside(gradient)
    folded = _buffer(inside, *inside.shape[1:]).copy_(inside)
    _add_rim(folded, _rim(gradient))
    return folded


class _NormReluPad(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, norm: NormReluPad) -> Tensor:
        _, c, h, w = x.shape
        assert norm.momentum is not None
        normalised, mean, inverse_deviation = torch.native_batch_norm(
            x, weight, bias, norm.running_mean, norm.running_var,
            norm.training, norm.momentum, norm.eps,
        )  # fmt: skip
        padded = _buffer(x, c, h + 2, w + 2)
        torch.clamp_min(normalised, 0, out=_inside(padded))
        _fill_rim(padded)
        ctx.save_for_backward(
            x, weight, norm.running_mean, norm.running_var, mean, inverse_deviation, padded
        )
        ctx.training, ctx.eps = norm.training, norm.eps
        return padded

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, *statistics, padded = ctx.saved_tensors
        (gradient,) = gradients
        rectified = torch.empty_like(x)
        relu_backward = torch.ops.aten.threshold_backward
        relu_backward.grad_input(_inside(gradient), _inside(padded), 0, grad_input=rectified)
        rims = zip(_rim(gradient), _rim(padded), strict=True)
        _add_rim(rectified, (relu_backward(rim, of, 0) for rim, of in rims))
        return *torch.ops.aten.native_batch_norm_backward(
            rectified, x, *statistics, ctx.training, ctx.eps, ctx.needs_input_grad[:3]
        ), None  # fmt: skip


class _MirrorPad(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        _, c, h, w = x.shape
        padded = _buffer(x, c, h + 2, w + 2)
        _inside(padded).copy_(x)
        _fill_rim(padded)
        return padded

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _fold_rim(gradients[0])


class _UnpoolAndJoin(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, indices: Tensor, skip: Tensor) -> Tensor:
        _, c, h, w = x.shape
        joined = _buffer(x, c + skip.shape[1], 2 * h + 2, 2 * w + 2)
        inside = _inside(joined)
        with torch.autocast(x.device.type, enabled=False):  # which would unpool in float32
            inside[:, :c] = F.max_unpool2d(x, indices, (2, 2))
        inside[:, c:] = skip
        _fill_rim(joined)
        ctx.save_for_backward(indices)
        return joined

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (indices,) = ctx.saved_tensors
        (gradient,) = gradients
        n, c, h, w = indices.shape
        unpooled = _fold_rim(gradient[:, :c])
        # pixel by pixel as they lie in memory, for which `gather` is faster than for planes
        picked = _by_pixel(unpooled).gather(1, _by_pixel(indices))
        to_x = picked.view(n, h, w, c).permute(0, 3, 1, 2)
        return to_x, None, _fold_rim(gradient[:, c:])


class _CellsToPixelsAndJoin(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, feature: Tensor) -> Tensor:
        _, c, h, w = x.shape
        joined = _buffer(x, c // 4 + feature.shape[1], 2 * h + 2, 2 * w + 2)
        inside = _inside(joined)
        _cells(inside[:, : c // 4]).copy_(_pixels(x))
        inside[:, c // 4 :] = feature
        _fill_rim(joined)
        ctx.channels = c
        return joined

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        (gradient,) = gradients
        c = ctx.channels
        of_pixels = _fold_rim(gradient[:, : c // 4])
        to_x = _buffer(of_pixels, c, of_pixels.shape[2] // 2, of_pixels.shape[3] // 2)
        _pixels(to_x).copy_(_cells(of_pixels))
        return to_x, _fold_rim(gradient[:, c // 4 :])


def _cells(x: Tensor) -> Tensor:
    """Return x [N, C, H, W] with the pixels of a cell apart, [N, C, h, 2, w, 2], as a view."""
    return x.unflatten(3, (-1, 2)).unflatten(2, (-1, 2))


def _pixels(x: Tensor) -> Tensor:
    """Return x [N, 4·C, h, w] with the pixels of a cell apart, [N, C, h, 2, w, 2], as a view."""
    return x.unflatten(1, (2, 2, -1)).permute(0, 3, 4, 1, 5, 2)


def _by_pixel(x: Tensor) -> Tensor:
    """Return x [N, C, H, W] as [N, H·W, C]."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def _apply(function: type[torch.autograd.Function], *inputs: Any) -> Any:
    return function.apply(*inputs)  # type: ignore[no-untyped-call]


def _tensor(value: Any) -> Tensor:
    assert isinstance(value, Tensor)
    return value
