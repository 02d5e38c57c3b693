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

"""AUC_Loc of a flawless map, the outlines of a phantom's lesions themselves, against the boxes around them.

python docs/experiments/phantom_flawless_map.py PHANTOM [SPLIT]
"""

from __future__ import annotations

import sys

import torch
from monai.transforms import Compose

from monai_advexplain.data import load_rsna
from monai_advexplain.metrics import auc_loc
from monai_advexplain.transforms import GroundTruthMaskd, LoadMedicalImaged


def main(dataset_dir: str, split: str = "validation") -> None:
    """Print the mean over the images with lesions of a split."""
    load = Compose([LoadMedicalImaged("image"), GroundTruthMaskd()])
    items = [item for item in load_rsna(dataset_dir, masks="lesions")[split] if item["label"]]
    outlines = torch.stack([torch.as_tensor(load(item)["mask"]) for item in items])
    boxes = torch.stack([torch.as_tensor(load({**item, "mask": None})["mask"]) for item in items])
    print(f"{len(items)} images: {auc_loc(outlines, boxes).mean():.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
