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

"""Images from a PACS and results back into it, by DICOMweb: QIDO-RS finds, WADO-RS fetches, STOW-RS stores."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom
from monai.utils import optional_import
from pydicom.uid import UID

DICOMwebClient, _ = optional_import(
    "dicomweb_client", name="DICOMwebClient", descriptor="{}: pip install 'monai_advexplain[dicomweb]'"
)
requests, _ = optional_import("requests")

MADE_HERE = "MONAI AdvExplain"  # the manufacturer of this package's own results
SERIES, SOP_CLASS = "0020000E", "00080016"


def fetch_study(
    url: str, study: str, folder: str | os.PathLike[str], series: Sequence[str] | None = None
) -> list[Path]:
    """Fetch the images of a study.

    Objects that hold no image (structured reports, segmentations, presentation states) and this package's own results,
    which an earlier run may have stored there, are not written.

    Args:
        url: of the DICOMweb service, such as ``http://localhost:8042/dicom-web``. User and password are taken from
            ``~/.netrc``, proxies and certificates from the environment, as the library requests does.
        study: its Study Instance UID.
        folder: where to write ``<SeriesInstanceUID>/<SOPInstanceUID>.dcm``; made when missing.
        series: Series Instance UIDs to fetch; None for all.

    Returns:
        The files, series by series.

    Raises:
        OptionalImportError: when dicomweb-client is not installed.
        ConnectionError: when the service does not answer, or refuses.
        FileNotFoundError: when there is no such study, no such series, or no image in it.
        ValueError: when a UID is not one.
    """
    for uid in (study, *(series or ())):
        _check(uid)
    with _plain_errors(url):
        client = _client(url)
        found = [entry[SERIES]["Value"][0] for entry in client.search_for_series(study, get_remaining=True)]
        if not found:
            raise FileNotFoundError(f"{url}: no study {study}.")
        missing = [uid for uid in series or () if uid not in found]
        if missing:
            raise FileNotFoundError(f"{url}: no series {missing[0]} in study {study}; there are {', '.join(found)}.")
        paths: list[Path] = []
        for uid in series or found:
            for instance in client.iter_series(study, uid):
                if _is_image(instance) and instance.get("Manufacturer") != MADE_HERE:
                    place = Path(folder) / _check(uid)
                    place.mkdir(parents=True, exist_ok=True)
                    paths.append(place / f"{_check(instance.SOPInstanceUID)}.dcm")
                    instance.save_as(paths[-1], enforce_file_format=True)
    if not paths:
        raise FileNotFoundError(f"{url}: no image in study {study}, only {len(found)} series of other objects.")
    return paths


def store(url: str, files: Sequence[str | os.PathLike[str]]) -> list[str]:
    """Store DICOM files, each in the study that it names.

    Args:
        url: of the DICOMweb service, see :func:`fetch_study`.
        files: DICOM files.

    Returns:
        Their SOP Instance UIDs.

    Raises:
        OptionalImportError: when dicomweb-client is not installed.
        ConnectionError: when the service does not answer, or refuses a file.
    """
    stored = []
    with _plain_errors(url):
        client = _client(url)
        for file in files:
            instance = pydicom.dcmread(file)
            answer = client.store_instances([instance], study_instance_uid=instance.StudyInstanceUID)
            failed = answer.get("FailedSOPSequence")
            if failed:
                reason = failed[0].get("FailureReason")
                raise ConnectionError(f"{url}: did not store {file}: failure reason {reason:#06x}.")
            stored.append(str(instance.SOPInstanceUID))
    return stored


def _client(url: str) -> Any:
    client = DICOMwebClient(url)
    client.set_http_retry_params(retry=False)
    return client


def _check(uid: str) -> str:
    """A UID; it becomes a part of addresses and file names."""
    if not UID(uid).is_valid:
        raise ValueError(f"{uid!r} is no DICOM UID: digits and dots, at most 64, wanted.")
    return str(uid)


def _is_image(instance: pydicom.Dataset) -> bool:
    kind = UID(instance.SOPClassUID)
    return kind.name == kind or "Image Storage" in kind.name


@contextmanager
def _plain_errors(url: str) -> Iterator[None]:
    """What went wrong on the way, in one line."""
    try:
        yield
    except requests.HTTPError as error:
        raise ConnectionError(f"{url}: the DICOMweb service answered: {str(error).splitlines()[0]}") from error
    except requests.RequestException as error:
        raise ConnectionError(f"{url}: no DICOMweb service answers ({type(error).__name__}).") from error
