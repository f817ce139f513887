"""Mirror padding, max pooling that keeps its indices, and unpooling.

Each is written twice: `plain_*` in operations that ONNX has, which is the definition, and an
autograd function that fills one buffer instead of padding, unpooling and concatenating one after
the other, for the speed of training. Both give the same bits, and those of
`torch.nn.functional.max_pool2d` and `max_unpool2d`, ties included.

Shapes: N images, C channels, H × W pixels; a floor below has h × w = H/2 × W/2.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

Indices: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor]
"""One-hot over the four pixels of a cell in reading order, each bool [N, C, h, w]."""


def mirror_pad(x: Tensor) -> Tensor:
    """Return x [N, C, H, W] with one mirrored pixel on each side, [N, C, H+2, W+2]."""
    if torch.compiler.is_exporting():
        return plain_mirror_pad(x)
    return _tensor(_apply(_MirrorPad, x))


def max_pool(x: Tensor) -> tuple[Tensor, Indices]:
    """Return the 2 × 2 maxima of x [N, C, H, W], [N, C, h, w], and where they lay.

    Where several pixels of a cell are its maximum, it is said to lie in the first.
    """
    if torch.compiler.is_exporting():
        return plain_max_pool(x)
    maxima, *indices = _apply(_MaxPool, x)
    return maxima, (indices[0], indices[1], indices[2], indices[3])


def unpool_and_join(x: Tensor, indices: Indices, skip: Tensor) -> Tensor:
    """Return x [N, C, h, w] unpooled, joined by skip [N, S, H, W], with one mirrored pixel around.

    Each value goes back to the pixel that its maximum came from, zeros elsewhere. The result is
    [N, C+S, H+2, W+2]. `indices` are those of `max_pool`.
    """
    if torch.compiler.is_exporting():
        return plain_mirror_pad(torch.cat((plain_unpool(x, indices), skip), dim=1))
    return _tensor(_apply(_UnpoolAndJoin, x, skip, *indices))


def plain_mirror_pad(x: Tensor) -> Tensor:
    """Return what `mirror_pad` returns."""
    return F.pad(x, (1, 1, 1, 1), mode="reflect")


def plain_max_pool(x: Tensor) -> tuple[Tensor, Indices]:
    """Return what `max_pool` returns."""
    upper_left, upper_right, lower_left, lower_right = _cell_pixels(x)
    right_in_upper = upper_right > upper_left
    right_in_lower = lower_right > lower_left
    upper = torch.maximum(upper_left, upper_right)
    lower = torch.maximum(lower_left, lower_right)
    in_lower = lower > upper
    indices = (
        ~in_lower & ~right_in_upper,
        ~in_lower & right_in_upper,
        in_lower & ~right_in_lower,
        in_lower & right_in_lower,
    )
    return torch.maximum(upper, lower), indices


def plain_unpool(x: Tensor, indices: Indices) -> Tensor:
    """Return x [N, C, h, w] unpooled to [N, C, H, W], zeros beside the maxima."""
    n, c, h, w = x.shape
    pixels = torch.stack(tuple(x * index for index in indices), dim=2)  # [N, C, 4, h, w]
    return F.pixel_shuffle(pixels.reshape(n, 4 * c, h, w), 2)


def _cell_pixels(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the four pixels of every 2 × 2 cell of x in reading order, as views [N, C, h, w]."""
    return x[..., ::2, ::2], x[..., ::2, 1::2], x[..., 1::2, ::2], x[..., 1::2, 1::2]


def _buffer(like: Tensor, channels: int, height: int, width: int) -> Tensor:
    return torch.empty(
        (like.shape[0], channels, height, width),
        dtype=like.dtype,
        device=like.device,
        memory_format=torch.channels_last,
    )


def _fill_rim(padded: Tensor) -> None:
    """Mirror the inside of `padded` onto its outermost rows and columns, in place."""
    padded[:, :, 0, 1:-1] = padded[:, :, 2, 1:-1]
    padded[:, :, -1, 1:-1] = padded[:, :, -3, 1:-1]
    padded[..., 0] = padded[..., 2]
    padded[..., -1] = padded[..., -3]


def _fold_rim(gradient: Tensor) -> Tensor:
    """Return the inside of a padded gradient with the rim's added where it was mirrored from."""
    inside = gradient[:, :, 1:-1, 1:-1].contiguous(memory_format=torch.channels_last)
    if inside.data_ptr() == gradient.data_ptr():
        inside = inside.clone()
    inside[..., 1] += gradient[:, :, 1:-1, 0]
    inside[..., -2] += gradient[:, :, 1:-1, -1]
    for row, onto in ((gradient[:, :, 0], 1), (gradient[:, :, -1], -2)):
        folded = row[..., 1:-1].clone()
        folded[..., 1] += row[..., 0]
        folded[..., -2] += row[..., -1]
        inside[:, :, onto] += folded
    return inside


class _MirrorPad(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        _, c, h, w = x.shape
        padded = _buffer(x, c, h + 2, w + 2)
        padded[:, :, 1:-1, 1:-1] = x
        _fill_rim(padded)
        return padded

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _fold_rim(gradients[0])


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, ...]:
        maxima, indices = plain_max_pool(x)
        ctx.save_for_backward(*indices)
        ctx.mark_non_differentiable(*indices)
        return maxima, *indices

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        gradient = gradients[0]
        _, c, h, w = gradient.shape
        unpooled = _buffer(gradient, c, 2 * h, 2 * w)
        for pixel, index in zip(_cell_pixels(unpooled), ctx.saved_tensors, strict=True):
            torch.mul(gradient, index, out=pixel)
        return unpooled


class _UnpoolAndJoin(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, skip: Tensor, *indices: Tensor) -> Tensor:
        _, c, h, w = x.shape
        joined = _buffer(x, c + skip.shape[1], 2 * h + 2, 2 * w + 2)
        inside = joined[:, :, 1:-1, 1:-1]
        for pixel, index in zip(_cell_pixels(inside[:, :c]), indices, strict=True):
            torch.mul(x, index, out=pixel)
        inside[:, c:] = skip
        _fill_rim(joined)
        ctx.save_for_backward(*indices)
        ctx.channels = c
        return joined

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        indices = ctx.saved_tensors
        (gradient,) = gradients
        unpooled = _fold_rim(gradient[:, : ctx.channels])
        pixels = _cell_pixels(unpooled)
        to_x = pixels[0] * indices[0]
        for pixel, index in zip(pixels[1:], indices[1:], strict=True):
            to_x.addcmul_(pixel, index)
        return to_x, _fold_rim(gradient[:, ctx.channels :]), None, None, None, None


def _apply(function: type[torch.autograd.Function], *tensors: Tensor) -> Any:
    return function.apply(*tensors)  # type: ignore[no-untyped-call]


def _tensor(value: Any) -> Tensor:
    assert isinstance(value, Tensor)
    return value
