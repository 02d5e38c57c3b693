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

"""Inference: how an image goes through an explainer, one by one or from a bundle."""

from monai_advexplain.inferers.backends import BACKENDS, on_backend
from monai_advexplain.inferers.bundle import BundleExplainer, load
from monai_advexplain.inferers.explain import check_fit, explain_images
from monai_advexplain.inferers.pair_inferer import PairInferer
from monai_advexplain.inferers.slice_inferer import SlicePairInferer
from monai_advexplain.inferers.window_inferer import WindowPairInferer

__all__ = [
    "BACKENDS",
    "BundleExplainer",
    "PairInferer",
    "SlicePairInferer",
    "WindowPairInferer",
    "check_fit",
    "explain_images",
    "load",
    "on_backend",
]
