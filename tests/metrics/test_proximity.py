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

"""L1, SSIM and sparsity of a change against NumPy, scikit-image and MONAI."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.metrics.regression import compute_ssim_and_cs
from skimage.metrics import structural_similarity

from monai_advexplain.metrics import l1_change, mse_change, sparsity_of_change, ssim

SIZES = [(24, 17), (13, 12, 14)]
METRICS = [l1_change, mse_change, ssim, sparsity_of_change]


def pair(size, channels=2, batch=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(batch, channels, *size, generator=generator)
    return images, (images + 0.1 * torch.randn(images.shape, generator=generator)).clamp(0, 1)


@pytest.mark.parametrize("size", SIZES)
def test_l1_and_mse_are_the_mean_absolute_and_the_mean_squared_difference(size):
    images, changed = pair(size)
    pairs = list(zip(images.double().numpy(), changed.double().numpy(), strict=True))
    np.testing.assert_allclose(l1_change(images, changed), [np.abs(x - y).mean() for x, y in pairs], rtol=1e-12)
    np.testing.assert_allclose(mse_change(images, changed), [((x - y) ** 2).mean() for x, y in pairs], rtol=1e-12)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("data_range", [1.0, 255.0])
def test_ssim_is_that_of_scikit_image_and_of_monai(size, data_range):
    images, changed = (data_range * values for values in pair(size))
    ours = ssim(images, changed, data_range)
    for x, y, score in zip(images.double().numpy(), changed.double().numpy(), ours, strict=True):
        expected = structural_similarity(
            x, y, data_range=data_range, channel_axis=0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        assert score.item() == pytest.approx(expected, rel=1e-9)
    dims = len(size)
    windows, _ = compute_ssim_and_cs(images, changed, dims, [11] * dims, [1.5] * dims, data_range)
    torch.testing.assert_close(ours.float(), windows.flatten(1).mean(dim=1), rtol=1e-4, atol=0)


def test_ssim_cuts_its_window_along_a_short_axis():
    images, changed = pair((13, 12, 4))
    windows, _ = compute_ssim_and_cs(images, changed, 3, [11, 11, 3], [1.5] * 3)
    torch.testing.assert_close(ssim(images, changed).float(), windows.flatten(1).mean(dim=1), rtol=1e-4, atol=0)
    images, changed = pair((1, 2))
    assert ssim(images, changed).isfinite().all()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("threshold", [0.05, 0.2])
def test_sparsity_counts_pixels_whose_largest_channel_changes_enough(size, threshold):
    images, changed = pair(size)
    for i, share in enumerate(sparsity_of_change(images, changed, threshold)):
        difference = np.abs(images[i].double().numpy() - changed[i].double().numpy())
        moved = sum(difference[(slice(None), *place)].max() > threshold for place in np.ndindex(*size))
        assert share.item() == pytest.approx(moved / np.prod(size))


def test_closed_forms_of_a_shifted_corner():
    images = torch.zeros(1, 1, 20, 20, dtype=torch.float64)
    changed = images.clone()
    changed[..., :5, :4] = 0.5
    assert l1_change(images, changed).item() == pytest.approx(0.5 * 0.05)
    assert mse_change(images, changed).item() == pytest.approx(0.25 * 0.05)
    assert sparsity_of_change(images, changed).item() == pytest.approx(0.05)
    assert sparsity_of_change(images, changed, threshold=0.5).item() == 0
    shifted = images + 0.5
    assert ssim(images, shifted).item() == pytest.approx(1e-4 / (0.25 + 1e-4))


@pytest.mark.parametrize("size", SIZES)
def test_equal_images_are_closest_and_order_does_not_matter(size):
    images, changed = pair(size)
    for change in (l1_change, mse_change, sparsity_of_change):
        assert change(images, images).tolist() == [0, 0, 0]
    torch.testing.assert_close(ssim(images, images), torch.ones(3).double(), rtol=0, atol=1e-12)
    for metric in METRICS:
        torch.testing.assert_close(metric(images, changed), metric(changed, images), rtol=1e-12, atol=0)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("metric", METRICS)
def test_a_batch_gives_what_its_images_give_one_by_one(metric, size):
    images, changed = pair(size)
    single = torch.cat([metric(x[None], y[None]) for x, y in zip(images, changed, strict=True)])
    torch.testing.assert_close(metric(images, changed), single, rtol=1e-9, atol=0)


@pytest.mark.parametrize("metric", METRICS)
def test_autocast_and_devices_by_default_change_nothing_and_plain_tensors_come_out(metric):
    images, changed = pair(SIZES[0])
    expected = metric(images, changed)
    with torch.autocast("cpu", torch.bfloat16), torch.device("meta"):
        found = metric(MetaTensor(images, device="cpu"), MetaTensor(changed, device="cpu"))
    assert type(found) is torch.Tensor
    assert torch.equal(found, expected)


@pytest.mark.parametrize("metric", METRICS)
def test_bad_input_is_refused_with_what_was_found(metric):
    images, changed = pair(SIZES[0])
    with pytest.raises(ValueError, match=r"one shape, got \(3, 2, 24, 17\), \(3, 2, 24, 16\)"):
        metric(images, changed[..., :-1])
    with pytest.raises(ValueError, match=r"\(B, C, W, H\).*got shape \(3, 2, 24\)"):
        metric(images[..., 0], changed[..., 0])
    changed[0, 0, 0, :2] = torch.nan
    with pytest.raises(ValueError, match="changed must be finite, got 2 NaN"):
        metric(images, changed)


def test_bad_parameters_are_refused():
    with pytest.raises(ValueError, match="data_range must be above 0, got 0"):
        ssim(*pair(SIZES[0]), data_range=0)
    with pytest.raises(ValueError, match="threshold must be at least 0, got -1"):
        sparsity_of_change(*pair(SIZES[0]), threshold=-1)
