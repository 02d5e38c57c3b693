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

"""Comparison of explanation methods: measured side by side, with intervals, as a table and a report."""

from monai_advexplain.benchmark.comparison import Comparison
from monai_advexplain.benchmark.latent_space import LatentSpace
from monai_advexplain.benchmark.realism import Realism
from monai_advexplain.benchmark.speed import PAPER, measure_speed
from monai_advexplain.benchmark.statistics import bootstrap_interval, holm, paired_difference, ratio_of_means
from monai_advexplain.benchmark.table import metrics_table

__all__ = [
    "PAPER",
    "Comparison",
    "LatentSpace",
    "Realism",
    "bootstrap_interval",
    "holm",
    "measure_speed",
    "metrics_table",
    "paired_difference",
    "ratio_of_means",
]
