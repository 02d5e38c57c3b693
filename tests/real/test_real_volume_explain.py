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

"""The command ``explain`` on whole FLAIR volumes, window by window; skipped where data are missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import nibabel as nib
import numpy as np

from tests.bundles.untrained import untrained_copy
from tests.real.test_real_data import folder_of

MOST_MEMORY = 4.0  # GiB
MEASURED = """
import resource, sys
from monai_advexplain.__main__ import main
code = main()
print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}", file=sys.stderr)
sys.exit(code)
"""


def test_a_whole_head_is_explained_in_its_own_grid_and_in_little_memory(real_data, tmp_path):
    bundle = untrained_copy("mri_volume_advexplain", tmp_path)
    files = sorted(folder_of(real_data, "ms_lesions").glob("*/flair.nii.gz"))
    options = ["--set", "resize=false", "--set", "image_size=[48,48,48]", "--formats", "nifti"]
    options += ["--bundle", str(bundle), "--output", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, "explain", *map(str, files), *options],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert float(done.stderr.split("peak ")[-1]) < MOST_MEMORY
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == len(files) == 2
    for file, line in zip(files, lines, strict=True):
        source, explained = nib.load(file), nib.load(tmp_path / "out" / line["explanation"])
        np.testing.assert_array_equal(explained.affine, source.affine)
        assert explained.shape == source.shape == (182, 218, 182)
