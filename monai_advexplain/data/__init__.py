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

"""Readers of public data layouts, reproducible splits, and phantoms with known lesions."""

from monai_advexplain.data.datalist import load_datalist
from monai_advexplain.data.head_phantom import Head, render_head, write_head_phantom
from monai_advexplain.data.inputs import list_images
from monai_advexplain.data.labels import decision_label, for_decision, label_vector
from monai_advexplain.data.patches import cut_patches
from monai_advexplain.data.phantom import Chest, render_chest
from monai_advexplain.data.phantom_dicom import write_chest_phantom
from monai_advexplain.data.planted import plant_lesions
from monai_advexplain.data.rsna import load_rsna
from monai_advexplain.data.shapes_phantom import Shapes, render_shapes, write_shapes_phantom
from monai_advexplain.data.splits import split_by_group
from monai_advexplain.data.supervision import supervised_items

__all__ = [
    "Chest",
    "Head",
    "Shapes",
    "cut_patches",
    "decision_label",
    "for_decision",
    "label_vector",
    "list_images",
    "load_datalist",
    "load_rsna",
    "plant_lesions",
    "render_chest",
    "render_head",
    "render_shapes",
    "split_by_group",
    "supervised_items",
    "write_chest_phantom",
    "write_head_phantom",
    "write_shapes_phantom",
]
