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

"""Networks: generators on MONAI's nets, and the module that explains with them."""

from monai_advexplain.networks.adapted_classifier import AdaptedClassifier
from monai_advexplain.networks.blur import Blur
from monai_advexplain.networks.discriminative_vae import DiscriminativeVAE, LatentImage
from monai_advexplain.networks.discriminator import DecisionDiscriminator
from monai_advexplain.networks.domain_generators import DecisionDomainGenerators, DomainExplainerNet, DomainImages
from monai_advexplain.networks.explainer_net import ExplainerNet, GeneratedPair
from monai_advexplain.networks.exported import ExportedNetwork
from monai_advexplain.networks.frozen import Frozen, freeze
from monai_advexplain.networks.gated import GatedExplainerNet, GatedGenerator, GatedPair
from monai_advexplain.networks.generators import ImageHead, SeparateGenerators, TwoHeadGenerator
from monai_advexplain.networks.loading import load_classifier, load_weights
from monai_advexplain.networks.mask_generator import MaskedPair, MaskExplainerNet, MaskGenerator

__all__ = [
    "AdaptedClassifier",
    "Blur",
    "DecisionDiscriminator",
    "DecisionDomainGenerators",
    "DiscriminativeVAE",
    "DomainExplainerNet",
    "DomainImages",
    "ExplainerNet",
    "ExportedNetwork",
    "Frozen",
    "GatedExplainerNet",
    "GatedGenerator",
    "GatedPair",
    "GeneratedPair",
    "ImageHead",
    "LatentImage",
    "MaskExplainerNet",
    "MaskGenerator",
    "MaskedPair",
    "SeparateGenerators",
    "TwoHeadGenerator",
    "freeze",
    "load_classifier",
    "load_weights",
]
