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

"""Transforms that MONAI lacks: readers of medical images, ground truth on the image's grid, display."""

from monai_advexplain.transforms.dicom_volume_reader import DicomVolumeReader
from monai_advexplain.transforms.ground_truth_mask import GroundTruthMaskd, boxes_to_mask
from monai_advexplain.transforms.load_image import LoadMedicalImage, LoadMedicalImaged
from monai_advexplain.transforms.overlay import overlay_figure, picture_grid, save_figure
from monai_advexplain.transforms.plant_lesion import LesionRange, RandPlantLesiond
from monai_advexplain.transforms.radiograph_reader import RadiographReader
from monai_advexplain.transforms.random_affine import AffineRange, invert, warp
from monai_advexplain.transforms.region import highest_region

__all__ = [
    "AffineRange",
    "DicomVolumeReader",
    "GroundTruthMaskd",
    "LesionRange",
    "LoadMedicalImage",
    "LoadMedicalImaged",
    "RadiographReader",
    "RandPlantLesiond",
    "boxes_to_mask",
    "highest_region",
    "invert",
    "overlay_figure",
    "picture_grid",
    "save_figure",
    "warp",
]
