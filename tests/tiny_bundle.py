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

"""A bundle of a few weights, whose map is high where the image is bright, made of another bundle's config."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from monai_advexplain.networks import ExplainerNet, TwoHeadGenerator

CONFIGS = Path(__file__).parents[1] / "bundles" / "chest_xray_advexplain" / "configs"
GAIN = 0.5


def tiny_bundle(folder: Path, dims: int = 3, channels: int = 1) -> Path:
    """Write the bundle: |g_s - g_a| is tanh(GAIN x) of a bright pixel x, and the classifier says yes above 0.25.

    In 3D the network works on a grid of 2 mm in RAS, in windows of 16 voxels; in 2D on 32 pixels.
    """
    config = json.loads((CONFIGS / "inference.json").read_text())
    config["image_size"] = [32, 32]
    config["classifier_def"] = (
        f"$torch.nn.Sequential(torch.nn.AdaptiveMaxPool{dims}d(1), torch.nn.Flatten(), torch.nn.Linear({channels}, 1))"
    )
    config["network_def"] = {
        "_target_": "monai_advexplain.ExplainerNet",
        "generator": {
            "_target_": "monai_advexplain.TwoHeadGenerator",
            "trunk": f"$torch.nn.Conv{dims}d({channels}, 1, 1)",
            "features": 1,
            "hidden": 1,
            "spatial_dims": dims,
            "channels": channels,
        },
        "spatial_dims": dims,
        "channels": channels,
    }
    load, scale = config["preprocessing"]["transforms"][:2]
    load |= {"spatial_dims": dims, "channels": channels}
    if dims == 3:
        grid = [
            {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS", "labels": None},
            {"_target_": "Spacingd", "keys": "image", "pixdim": [2.0, 2.0, 2.0], "mode": "bilinear"},
        ]
        config["preprocessing"]["transforms"] = [load, *grid, scale]
        config["inferer"] = {"_target_": "monai_advexplain.inferers.WindowPairInferer", "roi_size": 16}
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    (folder / "configs" / "metadata.json").write_text((CONFIGS / "metadata.json").read_text())
    (folder / "models").mkdir()
    torch.save(_classifier(channels).state_dict(), folder / "models" / "classifier.pt")
    torch.save(_network(dims, channels).state_dict(), folder / "models" / "model.pt")
    return folder


@torch.no_grad()
def _classifier(channels: int) -> torch.nn.Module:
    model = torch.nn.Sequential(torch.nn.Identity(), torch.nn.Identity(), torch.nn.Linear(channels, 1))
    model[2].weight.fill_(4.0 / channels)
    model[2].bias.fill_(-1.0)
    return model


@torch.no_grad()
def _network(dims: int, channels: int) -> torch.nn.Module:
    trunk = (torch.nn.Conv2d, torch.nn.Conv3d)[dims - 2](channels, 1, 1)
    net = ExplainerNet(TwoHeadGenerator(trunk, 1, spatial_dims=dims, channels=channels, hidden=1), channels, dims)
    for parameter in net.parameters():
        parameter.zero_()
    trunk.weight.fill_(1.0 / channels)
    for head in (net.generator.similar, net.generator.adversarial):
        head.hidden.weight[(0, 0, *[1] * dims)] = 1.0  # hands the feature on
    net.generator.adversarial.image.weight.fill_(-GAIN)
    return net
