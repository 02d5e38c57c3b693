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

"""Tests of the discriminative VAE."""

from __future__ import annotations

import pytest
import torch

from monai_advexplain.networks import DiscriminativeVAE
from tests.small import SIZES, images


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_come_back_in_their_shape_with_a_code_and_a_decision_each(dims, channels):
    vae = DiscriminativeVAE(SIZES[dims], channels, latent_size=5, features=(4, 8))
    x = images(3, channels, dims)
    made = vae(x)
    assert made.reconstruction.shape == x.shape
    assert 0 <= made.reconstruction.min() <= made.reconstruction.max() <= 1
    assert made.mean.shape == made.log_variance.shape == (3, 5)
    assert made.logit.shape == (3,)


def test_the_code_is_the_posterior_mean_which_the_head_reads():
    vae = DiscriminativeVAE(SIZES[2], latent_size=5, features=(4, 8)).eval()
    x = images(3)
    made = vae(x)
    assert torch.equal(vae.encode(x), made.mean)
    assert torch.equal(made.logit, vae.decision(made.mean)[:, 0])
    assert torch.equal(vae.encode(x), vae.encode(x))


def test_training_draws_codes_from_the_posterior():
    vae = DiscriminativeVAE(SIZES[2], latent_size=5, features=(4, 8)).train()
    first, second = (vae(images(4)) for _ in range(2))
    torch.testing.assert_close(first.mean, second.mean)
    assert not torch.allclose(first.reconstruction, second.reconstruction)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"spatial_shape": (16, 12), "features": (4, 8, 16)}, r"multiples of 8 for 3 levels .* got \(16, 12\)"),
        ({"spatial_shape": (16,), "features": (4, 8)}, r"two or three multiples of 4 .* got \(16,\)"),
        ({"spatial_shape": (16, 16), "latent_size": 1}, "latent_size must be at least 2, got 1"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        DiscriminativeVAE(**arguments)
