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

"""Tests of the latent space: its loss, its training, and that it is trained once."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from monai_advexplain.benchmark.latent_space import LatentSpace, latent_loss
from monai_advexplain.networks import LatentImage

CPU = torch.device("cpu")
SMALL = {"latent_size": 4, "features": (4, 8), "epochs": 2, "batch_size": 8}


def bright_or_dark(count=24, dims=2):
    """Noisy images of which half have a bright square; the decision is whether they have."""
    generator = torch.Generator().manual_seed(0)
    images = 0.2 * torch.rand(count, 1, *(16,) * dims, generator=generator)
    yes = torch.arange(count) % 2 == 0
    images[yes, :, 4:9, 4:9] += 0.7
    return images, yes


def test_the_loss_is_the_evidence_lower_bound_per_pixel_and_the_cross_entropy():
    generator = torch.Generator().manual_seed(0)
    images, reconstruction = torch.rand(2, 3, 1, 4, 5, generator=generator)
    mean, log_variance = torch.randn(2, 3, 6, generator=generator)
    logit, yes = torch.tensor([0.3, -2.0, 1.0]), torch.tensor([1.0, 0.0, 0.0])
    found = latent_loss(LatentImage(reconstruction, mean, log_variance, logit), images, yes, 0.2, 0.7).item()
    expected = 0.0
    for i in range(3):
        squares = ((images[i] - reconstruction[i]).double().numpy() ** 2).sum()
        gaussians = zip(mean[i].tolist(), log_variance[i].tolist(), strict=True)
        divergence = sum((m * m + math.exp(v) - v - 1) / 2 for m, v in gaussians)
        p = 1 / (1 + math.exp(-logit[i].item()))
        entropy = -math.log(p if yes[i] else 1 - p)
        expected += ((squares / (2 * 0.2**2) + divergence) / 20 + 0.7 * entropy) / 3
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("dims", [2, 3])
def test_codes_tell_the_decision_after_a_brief_training(tmp_path, dims):
    images, yes = bright_or_dark(dims=dims)
    space = LatentSpace(**{**SMALL, "epochs": 15, "learning_rate": 0.01})
    vae = space.fitted(tmp_path / "vae.pt", images, yes, CPU)
    assert not vae.training
    with torch.no_grad():
        made = vae(images)
        untrained = space.network(images).eval()(images)
    assert ((made.logit > 0) == yes).float().mean() > 0.9
    assert (made.reconstruction - images).square().mean() < (untrained.reconstruction - images).square().mean() / 2


def test_the_same_seed_gives_the_same_network_and_leaves_the_process_its_random_state(tmp_path):
    images, yes = bright_or_dark()
    torch.manual_seed(1)
    expected = torch.rand(3)
    codes = []
    for name in "ab":
        torch.manual_seed(1)
        codes.append(LatentSpace(**SMALL).fitted(tmp_path / name, images, yes, CPU).encode(images))
        assert torch.equal(torch.rand(3), expected)
    assert torch.equal(*codes)
    assert not torch.equal(
        codes[0], LatentSpace(**SMALL, seed=1).fitted(tmp_path / "c", images, yes, CPU).encode(images)
    )


def test_a_network_that_was_trained_alike_is_loaded_and_any_other_is_replaced(tmp_path):
    images, yes = bright_or_dark()
    path = tmp_path / "vae.pt"
    first = LatentSpace(**SMALL).fitted(path, images, yes, CPU).state_dict()
    written = path.stat().st_mtime_ns
    again = LatentSpace(**SMALL).fitted(path, images, yes, CPU).state_dict()
    assert path.stat().st_mtime_ns == written
    assert all(torch.equal(first[name], again[name]) for name in first)
    for space, shown, decided in (
        (LatentSpace(**{**SMALL, "epochs": 1}), images, yes),
        (LatentSpace(**SMALL), images + 0.01, yes),
        (LatentSpace(**SMALL), images, ~yes),
    ):
        before = path.read_bytes()
        space.fitted(path, shown, decided, CPU)
        assert path.read_bytes() != before
    path.write_bytes(path.read_bytes()[:100])  # no network any more
    LatentSpace(**SMALL).fitted(path, images, yes, CPU)
    assert [one.name for one in tmp_path.iterdir()] == ["vae.pt"]


@pytest.mark.parametrize("count", [2, 9, 17])
def test_no_batch_is_a_single_image(tmp_path, count):
    images, yes = bright_or_dark(count)
    codes = LatentSpace(**SMALL).fitted(tmp_path / "vae.pt", images, yes, CPU).encode(images)
    assert np.isfinite(codes.detach().numpy()).all()


def test_a_loss_that_is_not_finite_stops_and_leaves_no_file(tmp_path):
    images, yes = bright_or_dark()
    images[3] = math.nan
    with pytest.raises(RuntimeError, match="loss of the latent space is nan"):
        LatentSpace(**SMALL).fitted(tmp_path / "vae.pt", images, yes, CPU)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs of the latent space must be at least 1, got 0"),
        ({"noise": 0.0}, "noise of the latent space must be above 0"),
        ({"learning_rate": -1.0}, "learning_rate of the latent space must be above 0"),
        ({"decision_weight": -0.1}, "decision_weight of the latent space must be at least 0"),
    ],
)
def test_settings_outside_their_range_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        LatentSpace(**change)


def test_one_image_trains_no_latent_space(tmp_path):
    images, yes = bright_or_dark(1)
    with pytest.raises(ValueError, match="at least 2 images, got 1"):
        LatentSpace(**SMALL).fitted(tmp_path / "vae.pt", images, yes, CPU)
