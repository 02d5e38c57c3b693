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

"""The named images and decisions of one training step, which the loss terms read."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor


class ExplanationStep:
    """What a loss term may look at: images by name, the classifier's margins about them, the decision to explain.

    Args:
        images: name -> (B, C, *spatial); ``image`` is the input, ``similar``, ``adversarial`` and whatever else there
            is, such as ``mask`` (B, 1, *spatial), are generated.
        target: (B,), in [0, 1], the classifier's decision about the input.
        critic: images (B, C, *spatial) -> margins (K, B), differentiable: signed distance to the decision's boundary in
            logit units, K draws of a random transformation (K = 1 for none). Asked at most once for each name.
        image_margin: (B,), the classifier's margin about the untouched input, detached; for terms that estimate it.
        discriminator: (images (B, C, *spatial), decisions (B,)) -> verdicts (B, *patches), differentiable, high = real;
            for terms about realism.
        teacher: images (B, C, *spatial) -> maps (B, 1, *spatial) to learn from, or None while it rests; for
            :class:`~monai_advexplain.losses.Consistency`.
    """

    def __init__(
        self,
        images: Mapping[str, Tensor],
        target: Tensor,
        critic: Callable[[Tensor], Tensor],
        image_margin: Tensor | None = None,
        discriminator: Callable[[Tensor, Tensor], Tensor] | None = None,
        teacher: Callable[[Tensor], Tensor | None] | None = None,
    ) -> None:
        self.images = dict(images)
        self.target = target
        self.image_margin = image_margin
        self._critic = critic
        self._discriminator = discriminator
        self._teacher = teacher
        self._margins: dict[str, Tensor] = {}

    def __getitem__(self, name: str) -> Tensor:
        """The image of that name, (B, C, *spatial)."""
        if name not in self.images:
            raise KeyError(f"no image named {name!r} in this step, there are: {sorted(self.images)}.")
        return self.images[name]

    def margin(self, name: str) -> Tensor:
        """The classifier's margins about the image of that name, (K, B)."""
        if name not in self._margins:
            self._margins[name] = self._critic(self[name])
        return self._margins[name]

    def judge(self, images: Tensor, decision: Tensor) -> Tensor:
        """The discriminator's verdicts (B, *patches) on images (B, C, *spatial) as images of ``decision`` (B,).

        Raises:
            ValueError: when there is no discriminator.
        """
        if self._discriminator is None:
            raise ValueError(
                "a loss term asks for a discriminator and there is none: give the trainer discriminator and "
                "discriminator_optimizer, or the term (realism) a weight of 0."
            )
        return self._discriminator(images, decision)

    def taught(self) -> Tensor | None:
        """The teacher's map (B, 1, *spatial) of the input, detached; None while the teacher rests.

        Raises:
            ValueError: when there is no teacher.
        """
        if self._teacher is None:
            raise ValueError(
                "a loss term asks for a teacher and there is none: give the trainer one, or the term (consistency) a "
                "weight of 0."
            )
        taught = self._teacher(self["image"])
        return None if taught is None else taught.detach()
