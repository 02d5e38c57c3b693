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

"""Every explainer in a cheap setting, and a classifier whose evidence is known."""

from __future__ import annotations

import torch
from monai.networks.nets import UNet
from torch import Tensor, nn

from monai_advexplain import explainers
from monai_advexplain.explainers import EnsembleAveraging, Explainer, GeometricAveraging, GradientExplainer
from monai_advexplain.networks import MaskExplainerNet, MaskGenerator
from tests.small import classifier, explainer_net, images, trained_looking, trunk

# Methods that ask a classifier, and settings with which they take milliseconds on the images of tests.small.
CLASSIFIER_METHODS = {
    "BBMPExplainer": {"iterations": 4, "cell": 4, "jitter": 1},
    "GradCAMExplainer": {},
    "GradCAMPlusPlusExplainer": {},
    "GradientExplainer": {},
    "IntegratedGradientsExplainer": {"steps": 4},
    "OcclusionExplainer": {"window": 0.5, "stride": 0.25},
    "RISEExplainer": {"n_masks": 16, "grid": 3},
    "SmoothGradExplainer": {"samples": 3},
}
CAM_METHODS = ("GradCAMExplainer", "GradCAMPlusPlusExplainer")
GENERATOR_METHODS = ("NaiveExplainer", "ProposedExplainer", "SimilarResidualExplainer")
METHODS_WITHOUT_NETWORK = {
    "CentreGaussianExplainer": {},
    "EdgeExplainer": {},
    "IntensityExplainer": {},
    "RandomExplainer": {"seed": 1},
}
METHODS_WITH_NETWORK = (*CLASSIFIER_METHODS, *GENERATOR_METHODS, "MaskGeneratorExplainer", "SegmentationExplainer")
EVERY_METHOD = (*METHODS_WITH_NETWORK, *METHODS_WITHOUT_NETWORK, "GeometricAveraging", "EnsembleAveraging")


def decided(dims: int = 2, channels: int = 1) -> nn.Sequential:
    """A classifier with batch norms and dropout that says "yes" to some random images, "no" to others, and is sure."""
    layers = list(classifier(dims, channels))
    net = nn.Sequential(*layers[:-1], nn.Dropout(0.5), layers[-1]).eval()
    with torch.no_grad():
        logits = net(images(16, channels, dims, seed=7))
        layers[-1].weight *= 4 / logits.std()
        layers[-1].bias.copy_(4 * (layers[-1].bias - logits.mean()) / logits.std())
    return net


def make(name: str, dims: int = 2, channels: int = 2) -> Explainer:
    """The explainer of that name on a small network of its own, the same at every call."""
    method = getattr(explainers, name)
    if name in CLASSIFIER_METHODS:
        return method(decided(dims, channels), **CLASSIFIER_METHODS[name])
    if name in GENERATOR_METHODS:
        return method(trained_looking(explainer_net(dims, channels)))
    if name == "MaskGeneratorExplainer":
        with torch.random.fork_rng():
            torch.manual_seed(0)
            generator = MaskGenerator(trunk(dims, channels), features=4, spatial_dims=dims)
        return method(MaskExplainerNet(generator, channels, dims, size_divisor=2))
    if name == "SegmentationExplainer":
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return method(UNet(dims, channels, 1, channels=(4, 8), strides=(2,)))
    if name == "GeometricAveraging":
        return GeometricAveraging(GradientExplainer(decided(dims, channels)), n=2)
    if name == "EnsembleAveraging":
        return EnsembleAveraging([GradientExplainer(decided(dims, channels)), make("IntensityExplainer")])
    return method(**METHODS_WITHOUT_NETWORK[name])


class BrightSpot(nn.Module):
    """Reads nothing but spots that are brighter than 0.5 over 3 pixels along each axis; says "yes" when it sees one.

    Args:
        dims: 2 or 3.
        says_no: says "no", as strongly, instead.
    """

    def __init__(self, dims: int = 2, says_no: bool = False) -> None:
        super().__init__()
        convolution, pool = ((nn.Conv2d, nn.AdaptiveAvgPool2d), (nn.Conv3d, nn.AdaptiveAvgPool3d))[dims - 2]
        self.features = nn.Sequential(convolution(1, 1, 3, padding=1), nn.ReLU(inplace=True))
        self.pool = pool(1)
        self.head = nn.Linear(1, 1)
        nn.init.constant_(self.features[0].weight, 1 / 3**dims)
        nn.init.constant_(self.features[0].bias, -0.5)
        strength = {2: 400.0, 3: 1000.0}[dims]  # logits of 3 to 5 for the spots below
        nn.init.constant_(self.head.weight, -strength if says_no else strength)
        nn.init.constant_(self.head.bias, 2.0 if says_no else -2.0)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1)."""
        return self.head(self.pool(self.features(x)).flatten(1))


def with_spot(dims: int = 2, batch: int = 2) -> tuple[Tensor, Tensor]:
    """Dark noise with a bright spot away from the centre, another place for each image; and where it is (B, 1, ...)."""
    size = (24, 20, 16)[:dims]
    images = 0.2 * torch.rand(batch, 1, *size, generator=torch.Generator().manual_seed(0))
    spot = torch.zeros_like(images)
    for i in range(batch):
        spot[(i, 0, *(slice(2 + i, 8 + i) for _ in range(dims)))] = 1
    return torch.where(spot > 0, 0.9, images), spot
