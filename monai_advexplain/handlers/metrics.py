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

"""Ignite handlers of the package's metrics."""

from __future__ import annotations

from collections.abc import Callable

from monai.handlers import IgniteMetricHandler

from monai_advexplain.metrics.cumulative import AgreementRate, AUCLocMetric


class AUCLoc(IgniteMetricHandler):
    """AUC_Loc over an epoch, see :class:`~monai_advexplain.metrics.cumulative.AUCLocMetric`.

    With ``pooling="per_image"`` the values of the images, (number of images, 1), NaN for empty masks, are left in
    ``engine.state.metric_details`` under the metric's name.

    Args:
        max_share: in (0, 1]; 1 for the total, less for the partial AUC_Loc.
        num_thresholds: number of percentile thresholds; ``None``, every value of the map, for ``"per_image"`` only.
        pooling: ``"pooled"`` or ``"per_image"``.
        output_transform: from ``engine.state.output`` to ``(maps, masks)``, tensors (B, 1, *spatial) or lists of
            tensors (1, *spatial), for instance ``from_engine(["explanation", "mask"])``.

    Raises:
        ValueError: when an argument is outside its range.
    """

    def __init__(
        self,
        max_share: float = 1.0,
        num_thresholds: int | None = 101,
        pooling: str = "pooled",
        output_transform: Callable = lambda x: x,
    ) -> None:
        super().__init__(
            metric_fn=AUCLocMetric(max_share, num_thresholds, pooling),
            output_transform=output_transform,
            save_details=pooling == "per_image",
        )


class FlipRate(IgniteMetricHandler):
    """Share of an epoch's images whose adversarial image is decided the opposite way.

    Args:
        output_transform: from ``engine.state.output`` to (decisions about the adversarial images, decisions about the
            images), tensors (B, 1) or lists of tensors (1,), bool.
    """

    def __init__(self, output_transform: Callable = lambda x: x) -> None:
        super().__init__(metric_fn=AgreementRate(agree=False), output_transform=output_transform)


class PreservationRate(IgniteMetricHandler):
    """Share of an epoch's images whose similar image is decided the same way.

    Args:
        output_transform: from ``engine.state.output`` to (decisions about the similar images, decisions about the
            images), tensors (B, 1) or lists of tensors (1,), bool.
    """

    def __init__(self, output_transform: Callable = lambda x: x) -> None:
        super().__init__(metric_fn=AgreementRate(agree=True), output_transform=output_transform)
