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

"""Confounder test: the map of a classifier that decides by a marker shows the marker, another one's does not."""

from __future__ import annotations

from typing import Any

import numpy as np

from monai_advexplain.metrics.pointing import relevance_mass
from monai_advexplain.sanity.marker_phantom import MARKED, VERSION, marker_box, write_marker_phantom
from monai_advexplain.sanity.subject import PROPOSED
from monai_advexplain.sanity.workbench import Workbench

NAMES = ("clean", "confounded")


def confounder(bench: Workbench) -> dict[str, Any]:
    """Two classifiers by the bundle's config, one on each set of :func:`write_marker_phantom`, and generators for both.

    The test images are the same: lesions decide about their label, the marker is a coin's toss. Only where an image has
    the marker can a map be asked to show it: in the others the adversarial image makes the confounded classifier see
    one wherever it can best be imitated, which need not be its corner.

    Returns:
        For ``clean`` and ``confounded`` the classifier's ``accuracy`` (agreement with the label), its ``agreement``
        with the marker and the generators' rates; for both with every method, as ``clean proposed``, the share of the
        map's mass in the ``marker``'s box (NaN for images without it), in the ``empty_box`` of these, and in the
        ``lesions``; ``chance``, the share that a constant map has there; ``separation``, whether the generators' map
        has more in the marker's box when the classifier is confounded.
    """
    rows: dict[str, Any] = {}
    maps = {}
    for name in NAMES:
        sub = _on_phantom(bench, name)
        classifier = sub.train_classifier(seed=bench.settings["seed"])
        model = sub.train_explainer(classifier, seed=bench.settings["seed"])
        subject = sub.subject(classifier_path=classifier, model_path=model)
        shown = sub.images
        box = marker_box(shown.masks)
        decided = subject.decided(shown.images).cpu().numpy()
        marked = np.array([item_id.endswith(MARKED) for item_id in shown.ids])
        rows[name] = {
            "accuracy": (decided == shown.labels).astype(float),
            "agreement": (decided == marked).astype(float),
            **subject.rates(shown.images),
        }
        for method in (PROPOSED, *bench.settings["attribution_methods"]):
            found = subject.maps(method, shown.images)
            in_box, in_lesions = (relevance_mass(found, mask).cpu().numpy() for mask in (box, shown.masks))
            rows[f"{name} {method}"] = {
                "marker": np.where(marked, in_box, np.nan),
                "empty_box": np.where(marked, np.nan, in_box),
                "lesions": in_lesions,
            }
            maps[f"{name} {method}"] = found
    rows["chance"] = {
        part: np.where(share > 0, share, np.nan)
        for part, share in (
            ("marker", box.flatten(1).mean(dim=1).cpu().numpy()),
            ("lesions", shown.masks.flatten(1).mean(dim=1).cpu().numpy()),
        )
    }
    found_by = [rows[f"{name} {PROPOSED}"]["marker"] for name in NAMES]
    rows["separation"] = {"marker": np.where(marked, found_by[1] > found_by[0], np.nan)}
    bench.draw("confounder", shown.images, {name: maps[f"{name} {PROPOSED}"] for name in NAMES}, box)
    return rows


def _on_phantom(bench: Workbench, name: str) -> Workbench:
    """The workbench on one of the two phantoms, with the settings of the confounder test on top of the bundle's."""
    own, everywhere = bench.settings["confounder"], bench.settings
    correlation = own["correlation"] if name == "confounded" else None
    named = f"{name}-{own['kind']}-{own['images']}x{own['size']}-{correlation}-seed{everywhere['seed']}-v{VERSION}"
    folder = write_marker_phantom(
        bench.output_dir / "phantom" / named, own["kind"], own["images"], own["size"], correlation, everywhere["seed"]
    )
    splits = {"_target_": "monai_advexplain.data.load_datalist", "dataset_dir": str(folder)}
    size = [own["size"]] * (3 if own["kind"] == "head" else 2)
    merged = {part: {**everywhere[part], **own.get(part, {})} for part in ("bundle", "classifier", "explainer")}
    merged["bundle"] |= {"splits": splits, "image_size": size}
    return Workbench(
        bench.bundle_root, bench.output_dir, {**everywhere, **merged, "split": "test", "training_images": None}
    )
