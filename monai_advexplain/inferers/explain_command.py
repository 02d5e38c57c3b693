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

"""The command ``explain``: files, series, folders and datalists through a bundle; results line by line."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai.data import load_decathlon_datalist
from pydicom.misc import is_dicom

from monai_advexplain.data.inputs import list_images
from monai_advexplain.inferers.bundle import BundleExplainer, load
from monai_advexplain.inferers.outputs import DICOM_ROLES, RESULTS, ExplanationFiles


def run_explain(
    inputs: Sequence[str | Path],
    bundle_root: str | Path,
    files: ExplanationFiles,
    overrides: dict[str, Any] | None = None,
    backend: str = "torch",
) -> int:
    """Explain every input; an input that fails is told of, and the others go on.

    One line of JSON an input goes to standard output and to ``results.jsonl`` beside the files: scores and file names,
    or ``error``. Progress and, at the end, the inputs that failed go to standard error.

    Args:
        inputs: files, folders, and datalists (``.json``).
        bundle_root: folder of the bundle.
        files: where and how to write.
        overrides: entries of the bundle's ``configs/inference.json`` to replace.
        backend: what runs the explainer, see :func:`~monai_advexplain.inferers.on_backend`.

    Returns:
        The number of inputs that failed.

    Raises:
        FileExistsError: when there are results that are not to be overwritten.
        FileNotFoundError: when an input, the bundle or its weights are missing.
        ValueError: when there is no image, no image that the formats are for, or the bundle's parts do not fit.
    """
    results = files.folder / RESULTS
    if results.exists() and not files.overwrite:
        raise FileExistsError(f"{results} exists: add --overwrite to lose it, or name another --output.")
    images = list_inputs(inputs, files.folder)
    refused = _not_dicom(images) if any(name.startswith("dicom") for name in files.formats) else {}
    if len(refused) == len(images):
        raise ValueError(next(iter(refused.values())))
    for reason in refused.values():
        _say(reason)
    explainer = load(bundle_root, backend, **(overrides or {}))
    files.folder.mkdir(parents=True, exist_ok=True)
    failures: list[str] = []
    with results.open("w", encoding="utf-8") as lines:
        for index, sources in enumerate(images):
            name = files.name(sources)
            try:
                if index in refused:
                    raise ValueError(refused[index])
                line = _explain(explainer, files, name, sources)
                said = f"decision {'yes' if line['decision'] else 'no'}, probability {line['probability']:.2f}"
            except Exception as error:  # whatever the libraries behind readers, networks and writers raise
                line = {"input": sources[0], "error": _reason(error)}
                said = f"failed: {line['error']}"
                failures.append(f"  {sources[0]}: {line['error']}")
            _say(f"{index + 1}/{len(images)} {sources[0]}: {said}")
            text = json.dumps(line)
            print(text, flush=True)
            print(text, file=lines, flush=True)
    if failures:
        _say("\n".join([f"{len(failures)} of {len(images)} inputs failed:", *failures]))
    return len(failures)


def run_explain_study(
    url: str,
    study: str,
    bundle_root: str | Path,
    files: ExplanationFiles,
    overrides: dict[str, Any] | None = None,
    backend: str = "torch",
    store_results: bool = False,
) -> int:
    """Explain every image of a study in a PACS.

    Args:
        url: of the DICOMweb service, see :func:`~monai_advexplain.data.dicomweb.fetch_study`.
        study: Study Instance UID.
        bundle_root, files, overrides, backend: see :func:`run_explain`.
        store_results: whether to store the DICOM results in the study.

    Returns:
        The number of images that failed.

    Raises:
        ConnectionError: when the service does not answer, or refuses.
        ValueError: when results are to be stored and none of the formats is DICOM; and as :func:`run_explain`.
    """
    from monai_advexplain.data.dicomweb import fetch_study, store

    if store_results and not any(name.startswith("dicom") for name in files.formats):
        raise ValueError(f"formats: no DICOM format to store among {', '.join(files.formats)}.")
    with tempfile.TemporaryDirectory() as folder:
        fetch_study(url, study, folder)
        failed = run_explain([folder], bundle_root, files, overrides, backend)
    if store_results:
        stored = store(url, _dicom_results(files.folder))
        _say(f"{len(stored)} DICOM files stored in study {study}.")
    return failed


def _dicom_results(folder: Path) -> list[Path]:
    """The DICOM files that the results in a folder tell of; a Secondary Capture of a volume is a folder of them."""
    found: list[Path] = []
    for line in map(json.loads, (folder / RESULTS).read_text(encoding="utf-8").splitlines()):
        for path in (folder / line[role] for role in DICOM_ROLES if role in line):
            found += sorted(path.iterdir()) if path.is_dir() else [path]
    return found


def list_inputs(inputs: Sequence[str | Path], output_dir: str | Path) -> list[list[str]]:
    """The files of every image that is named, in a folder or in a datalist.

    Args:
        inputs: files, folders, and datalists (``.json``).
        output_dir: what lies in it is no input when a folder around it is searched.

    Returns:
        For every image its files, several for a DICOM series.

    Raises:
        FileNotFoundError: when an input is missing.
        ValueError: when a folder or a datalist has no image.
    """
    images: list[list[str]] = []
    for path in map(Path, inputs):
        if path.suffix.lower() == ".json" and path.is_file():
            found = _of_datalist(path)
        else:
            found = [_files(item["image"]) for item in list_images(path)]
        if path.is_dir():
            found = [files for files in found if Path(output_dir).resolve() not in Path(files[0]).resolve().parents]
        if not found:
            raise ValueError(f"no image in {path}.")
        images += found
    return images


def _files(image: Any) -> list[str]:
    return [image] if isinstance(image, str) else list(image)


def _of_datalist(path: Path) -> list[list[str]]:
    """The images of all sections of a MONAI datalist; a folder in it is searched."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not valid JSON: {error}") from error
    sections = (
        [name for name, entries in content.items() if _is_section(name, entries)] if isinstance(content, dict) else []
    )
    entries = [entry for name in sections for entry in load_decathlon_datalist(path, False, name)]
    images: list[list[str]] = []
    for image in (entry["image"] for entry in entries if entry.get("image")):
        searched = isinstance(image, str) and Path(image).is_dir()
        images += [_files(item["image"]) for item in list_images(image)] if searched else [_files(image)]
    if not images:
        raise ValueError(f'{path}: no entry with "image" found, wanted a MONAI datalist.')
    return images


def _is_section(name: str, entries: Any) -> bool:
    """Whether an entry of a datalist lists images; in Decathlon's "test" they are bare paths."""
    return isinstance(entries, list) and bool(entries) and (name == "test" or isinstance(entries[0], dict))


def _not_dicom(images: Sequence[Sequence[str]]) -> dict[int, str]:
    """Why images cannot have DICOM results, by their index; a file that is missing is told of when it is read."""
    return {
        index: f"{files[0]}: not DICOM, which the DICOM formats asked for need as their source."
        for index, files in enumerate(images)
        if not all(is_dicom(file) for file in files if Path(file).is_file())
    }


def _explain(explainer: BundleExplainer, files: ExplanationFiles, name: str, sources: list[str]) -> dict[str, Any]:
    """Explain one image and write its files; its line of results."""
    explanation = explainer(sources)
    return explanation.scores() | files.write(name, explanation, sources)


def _reason(error: Exception) -> str:
    """An error in one line."""
    text = str(error).strip().splitlines()[0] if str(error).strip() else ""
    known = isinstance(error, (ValueError, OSError))
    return text if known and text else f"{type(error).__name__}: {text}".removesuffix(": ")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
