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

"""MONAI metrics that collect per image over an epoch: localisation and decision rates."""

from __future__ import annotations

from typing import Any

import torch
from monai.metrics import CumulativeIterationMetric
from torch import Tensor

from monai_advexplain.metrics.auc_loc import (
    _area,
    _check_max_share,
    _check_num_thresholds,
    localisation_curve,
    pooled_auc_loc,
)

POOLINGS = ("pooled", "per_image")


class AUCLocMetric(CumulativeIterationMetric):
    """AUC_Loc of a set of images, see :func:`~monai_advexplain.metrics.auc_loc.auc_loc`.

    Called with ``y_pred`` explanation maps and ``y`` masks: tensors (B, 1, *spatial) or lists of tensors
    (1, *spatial), whose sizes may differ from image to image. One row an image is buffered and gathered over all
    processes; images with an empty mask are left out of the result.

    Args:
        max_share: in (0, 1]; 1 for the total, less for the partial AUC_Loc.
        num_thresholds: number of percentile thresholds; ``None``, every value of the map, for ``"per_image"`` only.
        pooling: ``"pooled"`` averages precision, recall and kept share over images at each threshold, then takes the
            area; ``"per_image"`` takes the area of each image, then averages over images.

    Raises:
        ValueError: when an argument is outside its range.

    Example::

        metric = AUCLocMetric(max_share=PARTIAL_MAX_SHARE)
        metric(y_pred=maps, y=masks)  # for every batch
        metric.aggregate().item()
    """

    def __init__(self, max_share: float = 1.0, num_thresholds: int | None = 101, pooling: str = "pooled") -> None:
        super().__init__()
        _check_max_share(max_share)
        _check_num_thresholds(num_thresholds)
        if pooling not in POOLINGS:
            raise ValueError(f"pooling must be one of {POOLINGS}, got {pooling!r}.")
        if pooling == "pooled" and num_thresholds is None:
            raise ValueError('num_thresholds must be a number for pooling="pooled", got None.')
        self.max_share = max_share
        self.num_thresholds = num_thresholds
        self.pooling = pooling

    def _compute_tensor(self, y_pred: Tensor, y: Tensor | None = None, **kwargs: Any) -> Tensor:
        """Per image the curves, (B, 3, K), when pooled, else the AUC_Loc, (B, 1)."""
        if y is None:
            raise ValueError("y must be the masks, got None.")
        curves = localisation_curve(y_pred, y, self.num_thresholds)
        if self.pooling == "pooled":
            return torch.stack(curves, dim=1)
        return _area(curves, self.max_share).unsqueeze(1)

    def aggregate(self) -> Tensor:
        """AUC_Loc over all images collected since the last reset.

        Returns:
            Scalar tensor in [0, 1], NaN when no image has a mask.

        Raises:
            ValueError: when nothing was collected.
        """
        buffer = _collected(self)
        if self.pooling == "pooled":
            precision, recall, kept_share = buffer.unbind(dim=1)
            return pooled_auc_loc(precision, recall, kept_share, self.max_share)
        return buffer.nanmean()


class AgreementRate(CumulativeIterationMetric):
    """Share of the images about which two decisions agree (preservation) or disagree (flip).

    Called with ``y_pred`` the decisions about the generated images and ``y`` those about the images themselves:
    tensors (B, 1) or (B,), or lists of tensors (1,), bool or 0 and 1. The mean is over all images of all processes.

    Args:
        agree: ``True`` counts agreement (preservation rate of similar images), ``False`` disagreement (flip rate of
            adversarial images).
    """

    def __init__(self, agree: bool) -> None:
        super().__init__()
        self.agree = agree

    def _compute_tensor(self, y_pred: Tensor, y: Tensor | None = None, **kwargs: Any) -> Tensor:
        """Per image 1 where it counts and else 0, (B, 1)."""
        if y is None:
            raise ValueError("y must be the decisions about the images, got None.")
        return (_decisions("y_pred", y_pred) == _decisions("y", y)).eq(self.agree).float()

    def aggregate(self) -> Tensor:
        """Rate over all images collected since the last reset.

        Returns:
            Scalar tensor in [0, 1].

        Raises:
            ValueError: when nothing was collected.
        """
        return _collected(self).mean()


def _decisions(name: str, value: Tensor) -> Tensor:
    if value.ndim not in (1, 2) or value.shape[1:] not in ((), (1,)):
        raise ValueError(f"{name} must be decisions of shape (B, 1) or (B,), got {tuple(value.shape)}.")
    if not ((value == 0) | (value == 1)).all():
        raise ValueError(f"{name} must be bool or 0 and 1, got values from {value.min()} to {value.max()}.")
    return value.as_subclass(Tensor).reshape(-1, 1).bool()


def _collected(metric: CumulativeIterationMetric) -> Tensor:
    buffer = metric.get_buffer()
    if buffer is None:
        raise ValueError(f"{type(metric).__name__} has collected no image: call it before aggregate().")
    return buffer
