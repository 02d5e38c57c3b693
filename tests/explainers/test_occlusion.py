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

"""Occlusion: compared with plain loops over the windows."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from monai_advexplain import Decision
from monai_advexplain.explainers import OcclusionExplainer
from tests.explainers.cases import decided
from tests.small import SIZES, images


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(
    ("window", "stride", "pixels"),
    [(5, 4, ([5, 5, 5], [4, 4, 4])), (0.5, 0.25, ([4, 6, 8], [2, 3, 4]))],
    ids=["pixels", "shares"],
)
def test_it_is_the_mean_loss_of_evidence_over_the_windows_that_hold_a_pixel(dims, window, stride, pixels):
    size = SIZES[dims]
    lengths, steps = pixels if isinstance(window, int) or dims == 3 else ([8, 6], [4, 3])
    net = decided(dims, channels=2)
    shown = images(6, 2, dims)
    assert {True, False} == set(Decision().hard(net(shown)).tolist())
    lost, covered = torch.zeros(6, *size), torch.zeros(size)
    starts = [range(0, steps[a] * int(np.ceil((size[a] - lengths[a]) / steps[a])) + 1, steps[a]) for a in range(dims)]
    for corner in product(*starts):
        where = tuple(slice(c, c + length) for c, length in zip(corner, lengths, strict=False))
        hidden = shown.clone()
        hidden[(slice(None), slice(None), *where)] = shown.flatten(2).mean(dim=2).reshape(6, 2, *[1] * dims)
        with torch.no_grad():
            loss = (net(shown) - net(hidden))[:, 0] * net(shown)[:, 0].sign()
        lost[(slice(None), *where)] += loss.reshape(-1, *[1] * dims)
        covered[where] += 1
    maps = OcclusionExplainer(net, window=window, stride=stride, batch_size=20)(shown)
    torch.testing.assert_close(maps, (lost / covered).clamp(min=0).unsqueeze(1), atol=1e-4, rtol=1e-3)


def test_the_baseline_is_what_windows_are_covered_with():
    net = decided()
    assert OcclusionExplainer(net, window=4, stride=4, baseline=0.7)(torch.full((1, 1, 16, 12), 0.7)).max() < 1e-5
    with pytest.raises(ValueError, match="the baseline must be"):
        OcclusionExplainer(net, baseline="noise")(images())
