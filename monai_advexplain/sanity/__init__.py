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

"""Sanity checks of a bundle's explanations: randomisation, stability, a confounder, and a scorecard of them."""

from monai_advexplain.sanity.command import run_check
from monai_advexplain.sanity.items import training_items
from monai_advexplain.sanity.marker_phantom import marker_box, write_marker_phantom
from monai_advexplain.sanity.randomised import randomised
from monai_advexplain.sanity.scorecard import scorecard
from monai_advexplain.sanity.similarity import map_similarity

__all__ = [
    "map_similarity",
    "marker_box",
    "randomised",
    "run_check",
    "scorecard",
    "training_items",
    "write_marker_phantom",
]
