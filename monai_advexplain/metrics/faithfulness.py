# Copyright (c) MONAI AdvExplain maintainers
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""Faithfulness of explanation maps: what happens to the decision when important pixels are blurred or revealed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from monai_advexplain.metrics._ask import ask, check_asking
from monai_advexplain.metrics._gaussian import gaussian_taps, smooth
from monai_advexplain.metrics._pixels import flat_maps


class FaithfulnessCurves(NamedTuple):
    """Probability of the decision made while pixels are replaced, (B, K+1), and the areas under it, (B,)."""

    deletion: Tensor
    insertion: Tensor
    deletion_area: Tensor
    insertion_area: Tensor


def _blurred(images: Tensor, sigma: float) -> Tensor:
    taps = [gaussian_taps(sigma * size, int(4 * sigma * size + 0.5)) for size in images.shape[2:]]
    return smooth(images, taps).to(images.dtype)


def _replaced(start: Tensor, end: Tensor, ranks: Tensor, counts: Tensor, batch_size: int) -> Iterator[Tensor]:
    """Images of ``start`` whose first pixels by rank are those of ``end``: image by image, count by count."""
    rows = torch.cartesian_prod(torch.arange(len(start), device=counts.device), counts)
    for part in rows.split(batch_size):
        image, count = part.unbind(dim=1)
        replaced = (ranks[image] < count[:, None]).reshape(-1, 1, *start.shape[2:])
        yield torch.where(replaced, end[image], start[image])


def faithfulness_curves(
    images: Tensor,
    maps: Tensor,
    probability: Callable[[Tensor], Tensor],
    *,
    threshold: float = 0.5,
    num_steps: int = 20,
    blur_sigma: float = 0.1,
    batch_size: int = 32,
) -> FaithfulnessCurves:
    """Deletion and insertion curves of each image.

    Deletion replaces the pixels of the image by those of its blurred version, the most important first; insertion
    replaces the pixels of the blurred image by the sharp ones, in the same order. After step k = 0 ... K of an image of
    N pixels floor(k N / K) are replaced, in all channels. Pixels of one value are replaced in the order in which they
    lie in memory (the last spatial axis runs fastest). Each curve holds the probability of the decision that the
    classifier makes about the image: p where p > threshold, else 1 - p. The area is the integral over the share of
    replaced pixels (trapezoids). Deterministic; nothing is averaged over images; only the order of a map's values
    matters.

    The blurred image need not be decided the other way: the last value of the deletion curve, which is the first of the
    insertion curve, shows it. All maps of an image share both ends of the curves.

    Args:
        images: (B, C, *spatial), 2D or 3D.
        maps: explanation maps, (B, 1, *spatial), finite, high = important.
        probability: images (b, C, *spatial) -> probability of "yes" (b,), in [0, 1], on any device, as
            ``lambda x: decision.probability(classifier(x))``. It is asked 2 (K + 1) times for each image, without
            gradients. The caller puts the classifier in eval mode; only where ``probability`` is itself a module, it is
            put in eval mode meanwhile.
        threshold: of the decision, in (0, 1).
        num_steps: K, at least 1.
        blur_sigma: standard deviation of the Gaussian blur along each axis, as share of the image's size along it,
            above 0; cut at 4 standard deviations, borders continued by their last pixel.
        batch_size: how many images are shown to the classifier at once.

    Returns:
        Curves ``deletion`` and ``insertion`` (B, K+1) and their areas ``deletion_area`` (low = good) and
        ``insertion_area`` (high = good), (B,), all in [0, 1], double precision (single on MPS).

    Raises:
        ValueError: when shapes do not fit, maps are not finite, a parameter is outside its range, or ``probability``
            gives another shape or values outside [0, 1].

    Source:
        Petsiuk, Das and Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box Models", BMVC 2018,
        arXiv 1806.07421. There deletion fills with a constant and only insertion starts from a blurred image; here
        both use the blurred one, since a constant patch in a medical image is itself a finding.
    """
    check_asking(threshold, batch_size)
    if num_steps < 1:
        raise ValueError(f"num_steps must be at least 1, got {num_steps}.")
    if not blur_sigma > 0:
        raise ValueError(f"blur_sigma must be above 0, got {blur_sigma}.")
    if images.ndim not in (4, 5) or 0 in images.shape:
        raise ValueError(f"images must be (B, C, W, H) or (B, C, W, H, D), got shape {tuple(images.shape)}.")
    if maps.shape != (images.shape[0], 1, *images.shape[2:]):
        raise ValueError(f"maps of images {tuple(images.shape)} must be (B, 1, *spatial), got {tuple(maps.shape)}.")
    images = images.detach().as_subclass(Tensor)
    images = images if images.is_floating_point() else images.float()
    order = flat_maps(maps).argsort(dim=1, descending=True, stable=True)
    num_pixels = order.shape[1]
    ranks = torch.empty_like(order).scatter_(1, order, torch.arange(num_pixels, device=order.device).expand_as(order))
    counts = torch.arange(num_steps + 1, device=order.device) * num_pixels // num_steps
    blurred = _blurred(images, blur_sigma)

    deletion, insertion = (
        ask(probability, _replaced(start, end, ranks, counts, batch_size)).reshape(len(images), -1)
        for start, end in ((images, blurred), (blurred, images))
    )
    no = deletion[:, :1] <= threshold
    deletion, insertion = (torch.where(no, 1 - curve, curve) for curve in (deletion, insertion))
    shares = counts.to(deletion) / num_pixels
    return FaithfulnessCurves(
        deletion, insertion, torch.trapezoid(deletion, shares), torch.trapezoid(insertion, shares)
    )


def faithfulness_scores(
    images: Tensor,
    maps: Tensor,
    probability: Callable[[Tensor], Tensor],
    *,
    threshold: float = 0.5,
    num_steps: int = 20,
    blur_sigma: float = 0.1,
    batch_size: int = 32,
) -> dict[str, Tensor]:
    """Areas under the deletion and the insertion curve of each image.

    Args:
        images, maps, probability, threshold, num_steps, blur_sigma, batch_size: see :func:`faithfulness_curves`.

    Returns:
        ``deletion`` (low = good) and ``insertion`` (high = good), (B,), in [0, 1], nothing averaged over images.

    Raises:
        ValueError: as :func:`faithfulness_curves`.
    """
    curves = faithfulness_curves(
        images,
        maps,
        probability,
        threshold=threshold,
        num_steps=num_steps,
        blur_sigma=blur_sigma,
        batch_size=batch_size,
    )
    return {"deletion": curves.deletion_area, "insertion": curves.insertion_area}
