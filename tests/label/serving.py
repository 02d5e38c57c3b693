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

"""Bundles, images and a real MONAI Label server on a loopback port."""

from __future__ import annotations

import email
import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import requests
import torch
from monai.bundle import ConfigParser

from tests.orthanc import free_port, wait_for

ROOT = Path(__file__).parents[2]
ENVIRONMENT = Path(os.environ.get("ADVEXPLAIN_LABEL_ENV", "/nowhere"))
APP = ROOT / "label" / "advexplain_app"
SAMPLE_APPS = ENVIRONMENT / "monailabel" / "sample-apps"


def make_bundle(folder: Path, source: str) -> Path:
    """A copy of one of the repository's bundles with random weights."""
    shutil.copytree(ROOT / "bundles" / source, folder, ignore=shutil.ignore_patterns("models", "output"))
    (folder / "models").mkdir()
    parser = ConfigParser(json.loads((folder / "configs" / "inference.json").read_text()))
    with torch.random.fork_rng():
        torch.manual_seed(len(source))
        for name, key in (("model", "network_def"), ("classifier", "classifier_def")):
            network = parser.get_parsed_content(key)
            for parameter in network.parameters():
                if not parameter.any():  # heads begin at zero, where there is nothing to compare
                    torch.nn.init.normal_(parameter, std=0.1)
            torch.save(network.state_dict(), folder / "models" / f"{name}.pt")
    return folder


@contextmanager
def server(app: Path, studies: Path | str, folder: Path, conf: dict[str, str], **env: str) -> Iterator[str]:
    """``monailabel start_server`` on a copy of an app, which it writes into; gives its address."""
    app_dir = folder / "app"
    if not app_dir.exists():
        shutil.copytree(app, app_dir, ignore=shutil.ignore_patterns("model", "logs", "bin", "__pycache__"))
    port, log = free_port(), folder / "server.log"
    command = [str(ENVIRONMENT / "bin" / "python"), "-m", "monailabel.main", "start_server", "--app", str(app_dir)]
    command += ["--studies", str(studies), "--host", "127.0.0.1", "--port", str(port)]
    command += [part for key, value in conf.items() for part in ("--conf", key, value)]
    environment = {
        **os.environ,
        "PATH": f"{ENVIRONMENT / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(folder),  # where it keeps what it fetched from a PACS
        "OMP_NUM_THREADS": "1",
        **env,
    }
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment, cwd=folder)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(f"{url}/info/", process, log, 600)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def infer(url: str, model: str, image: str, output: str = "image", **params: Any) -> requests.Response:
    """The request that a viewer sends."""
    return requests.post(
        f"{url}/infer/{model}",
        params={"image": image, "output": output},
        data={"params": json.dumps(params)},
        timeout=120,
    )


def nifti(content: bytes) -> nib.Nifti1Image:
    """The image of a response, a ``.nii.gz`` file."""
    return nib.Nifti1Image.from_bytes(gzip.decompress(content))


def parts_of(response: requests.Response) -> dict[str, bytes]:
    """The parts of a multipart response by their names."""
    head = f"Content-Type: {response.headers['Content-Type']}\r\n\r\n".encode()
    parts = email.message_from_bytes(head + response.content).get_payload()
    return {part.get_param("name", header="content-disposition"): part.get_payload(decode=True) for part in parts}


def explain(bundle: Path, files: list[Path], folder: Path) -> dict[str, dict[str, Any]]:
    """What ``python -m monai_advexplain explain`` gives: by file, the scores and under roles the images."""
    command = [sys.executable, "-m", "monai_advexplain", "explain", *map(str, files)]
    command += ["--bundle", str(bundle), "--output", str(folder), "--formats", "nifti"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    roles = ("explanation", "adversarial")
    return {line["input"]: line | {role: nib.load(folder / line[role]) for role in roles} for line in lines}


def assert_same_image(found: nib.Nifti1Image, wanted: nib.Nifti1Image) -> None:
    """Equal voxels, equal affine; and not all zeros."""
    values = wanted.get_fdata(dtype=np.float32)
    assert values.any()
    assert found.get_data_dtype() == np.float32
    np.testing.assert_allclose(found.get_fdata(dtype=np.float32).reshape(values.shape), values, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.affine, wanted.affine, rtol=0, atol=1e-5)
