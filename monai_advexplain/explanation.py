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

"""Explanation: what is said about one image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Explanation:
    """The map, both generated images and the scores of one image, in the image's own grid.

    Attributes:
        map: explanation (1, *spatial), non negative, high = important; a MetaTensor with the image's affine.
        similar: g_s(x), (C, *spatial), decided as the image.
        adversarial: g_a(x), (C, *spatial), decided the opposite.
        probability: the classifier's probability of "yes" for the image, in [0, 1].
        probability_similar: the same for the similar image.
        probability_adversarial: the same for the adversarial image.
        decision: the classifier's decision about the image.
        decision_similar: the same for the similar image.
        decision_adversarial: the same for the adversarial image.
        input: file that the image came from, the first of a DICOM series, or "".
        image: what was explained, (C, *spatial), as it was loaded; None when it was not kept.
    """

    map: Tensor
    similar: Tensor
    adversarial: Tensor
    probability: float
    probability_similar: float
    probability_adversarial: float
    decision: bool
    decision_similar: bool
    decision_adversarial: bool
    input: str = ""
    image: Tensor | None = None

    @property
    def flipped(self) -> bool:
        """Whether the adversarial image is decided the opposite, as it must."""
        return self.decision_adversarial != self.decision

    @property
    def preserved(self) -> bool:
        """Whether the similar image is decided the same, as it must."""
        return self.decision_similar == self.decision

    def scores(self) -> dict[str, Any]:
        """What fits into one line of JSON: everything but the images."""
        return {
            "input": self.input,
            "decision": self.decision,
            "probability": self.probability,
            "probability_similar": self.probability_similar,
            "probability_adversarial": self.probability_adversarial,
            "flipped": self.flipped,
            "preserved": self.preserved,
        }

    @classmethod
    def from_output(cls, output: Mapping[str, Any]) -> Explanation:
        """From one image's entry of an ExplainerEvaluator's decollated output.

        Raises:
            KeyError: when the evaluator had no classifier, so that scores are missing.
        """
        if "probability" not in output:
            raise KeyError("no scores in this output: the evaluator was made without a classifier.")
        return cls(
            map=output["explanation"],
            similar=output["similar"],
            adversarial=output["adversarial"],
            input=str(getattr(output["explanation"], "meta", {}).get("filename_or_obj", "")),
            probability=float(output["probability"]),
            probability_similar=float(output["probability_similar"]),
            probability_adversarial=float(output["probability_adversarial"]),
            decision=bool(output["decision"]),
            decision_similar=bool(output["decision_similar"]),
            decision_adversarial=bool(output["decision_adversarial"]),
        )
