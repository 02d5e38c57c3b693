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

"""Explanation methods behind one contract: ``explainer(images) -> maps``."""

from monai_advexplain.explainers.base import Explainer
from monai_advexplain.explainers.bbmp import BBMPExplainer
from monai_advexplain.explainers.cam import GradCAMExplainer, GradCAMPlusPlusExplainer
from monai_advexplain.explainers.controls import CentreGaussianExplainer, EdgeExplainer, IntensityExplainer
from monai_advexplain.explainers.ensemble_averaging import EnsembleAveraging
from monai_advexplain.explainers.errors import UnsupportedClassifierError
from monai_advexplain.explainers.generated import NaiveExplainer, ProposedExplainer, SimilarResidualExplainer
from monai_advexplain.explainers.geometric_averaging import GeometricAveraging
from monai_advexplain.explainers.gradient import GradientExplainer
from monai_advexplain.explainers.integrated_gradients import IntegratedGradientsExplainer
from monai_advexplain.explainers.mask_generator import MaskGeneratorExplainer
from monai_advexplain.explainers.occlusion import OcclusionExplainer
from monai_advexplain.explainers.random_map import RandomExplainer
from monai_advexplain.explainers.rise import RISEExplainer
from monai_advexplain.explainers.segmentation import SegmentationExplainer
from monai_advexplain.explainers.smooth_grad import SmoothGradExplainer

__all__ = [
    "BBMPExplainer",
    "CentreGaussianExplainer",
    "EdgeExplainer",
    "EnsembleAveraging",
    "Explainer",
    "GeometricAveraging",
    "GradCAMExplainer",
    "GradCAMPlusPlusExplainer",
    "GradientExplainer",
    "IntegratedGradientsExplainer",
    "IntensityExplainer",
    "MaskGeneratorExplainer",
    "NaiveExplainer",
    "OcclusionExplainer",
    "ProposedExplainer",
    "RISEExplainer",
    "RandomExplainer",
    "SegmentationExplainer",
    "SimilarResidualExplainer",
    "SmoothGradExplainer",
    "UnsupportedClassifierError",
]
