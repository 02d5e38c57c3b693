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

"""All metrics of a batch of similar and adversarial images, per image."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from monai_advexplain.metrics._ask import ask, check_asking
from monai_advexplain.metrics.decision_rates import flipped, preserved
from monai_advexplain.metrics.proximity import CHANGE_THRESHOLD, l1_change, sparsity_of_change, ssim


def counterfactual_scores(
    images: Tensor,
    similar: Tensor,
    adversarial: Tensor,
    probability: Callable[[Tensor], Tensor],
    *,
    threshold: float = 0.5,
    change_threshold: float = CHANGE_THRESHOLD,
    data_range: float = 1.0,
    batch_size: int = 32,
) -> dict[str, Tensor]:
    """Validity and proximity of the generated images of each image.

    The adversarial image is compared with the similar one, the change that the explanation shows; the similar image
    with the image itself. For a method without a similar image (the naive one) pass the images as ``similar``.

    Args:
        images: (B, C, *spatial), 2D or 3D, finite.
        similar: g_s(x), same shape.
        adversarial: g_a(x), same shape.
        probability: images (b, C, *spatial) -> probability of "yes" (b,), in [0, 1], as
            ``lambda x: decision.probability(classifier(x))``; see
            :func:`~monai_advexplain.metrics.faithfulness.faithfulness_curves`.
        threshold: the decision is "yes" where the probability is above it; in (0, 1).
        change_threshold: see :func:`~monai_advexplain.metrics.proximity.sparsity_of_change`.
        data_range: see :func:`~monai_advexplain.metrics.proximity.ssim`.
        batch_size: how many images are shown to the classifier at once.

    Returns:
        Name -> (B,), nothing averaged over images:

        * ``flipped``: 1 where the adversarial image is decided the opposite way from the image, else 0 (high = good);
        * ``preserved``: 1 where the similar image is decided as the image, else 0 (high = good);
        * ``l1_similar``, ``ssim_similar``: similar image against image (low and high = close);
        * ``l1_adversarial``, ``ssim_adversarial``: adversarial against similar image;
        * ``sparsity``: share of the pixels that differ between adversarial and similar image (**low = sparse**).

    Raises:
        ValueError: when shapes differ or do not fit, values are not finite, a parameter is outside its range, or
            ``probability`` gives another shape or values outside [0, 1].
    """
    check_asking(threshold, batch_size)
    scores = {
        "l1_similar": l1_change(images, similar),
        "l1_adversarial": l1_change(similar, adversarial),
        "ssim_similar": ssim(images, similar, data_range),
        "ssim_adversarial": ssim(similar, adversarial, data_range),
        "sparsity": sparsity_of_change(similar, adversarial, change_threshold),
    }
    decided, decided_similar, decided_adversarial = (
        ask(probability, shown.detach().as_subclass(Tensor).clone().split(batch_size)) > threshold
        for shown in (images, similar, adversarial)
    )
    dtype = scores["sparsity"].dtype
    return {
        "flipped": flipped(decided, decided_adversarial).to(dtype),
        "preserved": preserved(decided, decided_similar).to(dtype),
        **scores,
    }
