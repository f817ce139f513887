"""Mirror padding, max pooling that keeps its indices, and unpooling.

Each is written twice: `plain_*` in operations that ONNX has and its runtimes compute fast, and an
autograd function that fills one buffer instead of padding, unpooling and concatenating one after
the other, for the speed of training. Both give the same bits, and those of
`torch.nn.functional.max_pool2d` and `max_unpool2d`, ties included.

Shapes: N images, C channels, H × W pixels; a level below has h × w = H/2 × W/2.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

Indices: TypeAlias = tuple[Tensor, ...]
"""Which pixel of each cell is its maximum, as `unpool_and_join` takes it: one-hot over the four
pixels of a cell in reading order, each bool [N, C, h, w]; in the plain form one bool [N, C, H, W].
"""


def mirror_pad(x: Tensor) -> Tensor:
    """Return x [N, C, H, W] with one mirrored pixel on each side, [N, C, H+2, W+2]."""
    if torch.compiler.is_exporting():
        return plain_mirror_pad(x)
    return _tensor(_apply(_MirrorPad, x))


def max_pool(x: Tensor) -> tuple[Tensor, Indices]:
    """Return the 2 × 2 maxima of x [N, C, H, W], [N, C, h, w], and where they lay.

    Where several pixels of a cell are its maximum, the first counts.
    """
    if torch.compiler.is_exporting():
        maxima, is_maximum = plain_max_pool(x)
        return maxima, (is_maximum,)
    maxima, *indices = _apply(_MaxPool, x)
    return maxima, tuple(indices)


def unpool_and_join(x: Tensor, indices: Indices, skip: Tensor) -> Tensor:
    """Return x [N, C, h, w] unpooled, joined by skip [N, S, H, W], with one mirrored pixel around.

    Each value goes back to the pixel that its maximum came from, zeros elsewhere. The result is
    [N, C+S, H+2, W+2]. `indices` are those of `max_pool`.
    """
    if torch.compiler.is_exporting():
        return plain_mirror_pad(torch.cat((plain_unpool(x, *indices), skip), dim=1))
    return _tensor(_apply(_UnpoolAndJoin, x, skip, *indices))


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


def _maxima_and_indices(x: Tensor) -> tuple[Tensor, Indices]:
    """Return what `max_pool` returns outside of an export."""
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
    """Return the inside of a padded gradient with the border's added where it was mirrored from."""
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
        maxima, indices = _maxima_and_indices(x)
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
