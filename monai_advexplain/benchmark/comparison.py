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

"""Comparison of explanation methods on the same images: measured side by side, row by row, as long as it takes."""

from __future__ import annotations

import json
import platform
import re
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import monai
import numpy as np
import torch
from monai.utils import convert_to_tensor
from torch import Tensor
from tqdm import tqdm

from monai_advexplain._version import __version__
from monai_advexplain.benchmark.describe import checksum, describe, one_line
from monai_advexplain.benchmark.realism import Realism
from monai_advexplain.benchmark.records import GALLERY, SPEED, Key, Records, Variant, write_atomically
from monai_advexplain.benchmark.report import write_report
from monai_advexplain.benchmark.results import summarise
from monai_advexplain.benchmark.results_files import write_results
from monai_advexplain.decision import Decision
from monai_advexplain.explainers.base import Explainer
from monai_advexplain.explainers.generated import NaiveExplainer, generates_images
from monai_advexplain.metrics.auc_loc import localisation_curve
from monai_advexplain.metrics.counterfactual import counterfactual_scores
from monai_advexplain.metrics.faithfulness import faithfulness_scores
from monai_advexplain.metrics.localisation import localisation_scores
from monai_advexplain.networks.frozen import evaluating

_DIGITS = 6  # of the numbers kept of a curve
_OF_SIMILAR = ("preserved", "l1_similar", "ssim_similar")


class _Sample(NamedTuple):
    image: Tensor
    mask: Tensor
    label: float | None
    probability: float
    decided: bool


class Comparison:
    """Methods x {plain, regularised} on a list of images, into ``table.csv``, ``results.json`` and ``report.html``.

    Images are taken one at a time. On each, all methods run in a random order of its own (so that a slow minute of the
    machine meets all of them), each timed at batch size 1; before its first image every method is called once untimed.
    Every (image, method) is a row in ``rows.jsonl`` as soon as it is measured: a run that was stopped goes on where it
    was when it is started again with the same settings, and tries again what failed. A method that fails before its
    first image is marked with one line of reason, an exception on a later image costs that image only.

    Args:
        methods: name -> explainer; None for one that is not available, see ``notes``.
        images: a data set whose items have ``image`` (C, *spatial), ``mask`` (1, *spatial), 0 or 1, and perhaps
            ``label``; an image whose mask is empty counts in no localisation metric.
        items: for each image a dictionary with ``id`` and ``group``, in the same order.
        classifier: the classifier that is explained.
        decision: which decision of it.
        output_dir: folder of the results.
        average: explainer -> its regularised version, such as a partial
            :class:`~monai_advexplain.explainers.GeometricAveraging`; None for plain rows only.
        reference: the method that the others are compared with.
        ceiling: the method that is no explanation but was trained on the ground truth, if there is one: it has a row,
            is no competitor, and the reference's share of it is reported.
        training_groups: groups of the images that the classifier or the methods were trained on.
        allow_training_images: whether such images may be compared.
        overwrite: start afresh in a folder that holds another comparison.
        seed: of the order of methods and of the bootstrap.
        n_gallery: number of images in the report's gallery, evenly spread over the list.
        n_resamples: of the bootstrap.
        notes: name of a method -> what a reader must know of it; for a method that is None, why.
        title: heading of the report.
        speed: callable without arguments that times methods on a classifier and image size that are the same for all
            data, and returns rows with ``method``, ``size``, ``ratio``, ``low`` and ``high`` as
            :func:`~monai_advexplain.benchmark.measure_speed` does; called once, after the maps, and kept in
            ``speed.json``. None to leave it out.
        realism: measures how near adversaries come to real images of the decision they were made for, once, after the
            maps; kept in ``realism.json``. None to leave it out.
        settings: entries that are kept in ``results.json`` and shown in the report, for instance the data's name.
        device: where to run.

    Raises:
        ValueError: when there is nothing to compare, lengths differ, the reference is unknown or the ceiling itself, or
            images belong to groups that were trained on.
    """

    def __init__(
        self,
        *,
        methods: Mapping[str, Explainer | None],
        images: Sequence[Mapping[str, Any]],
        items: Sequence[Mapping[str, Any]],
        classifier: torch.nn.Module,
        decision: Decision | None = None,
        output_dir: str | Path,
        average: Callable[[Explainer], Explainer] | None = None,
        reference: str = "proposed",
        ceiling: str | None = None,
        training_groups: Sequence[str] = (),
        allow_training_images: bool = False,
        overwrite: bool = False,
        seed: int = 0,
        n_gallery: int = 8,
        n_resamples: int = 10_000,
        notes: Mapping[str, str] | None = None,
        title: str = "Comparison of explanation methods",
        speed: Callable[[], list[dict[str, Any]]] | None = None,
        realism: Realism | None = None,
        settings: Mapping[str, Any] | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        if not items:
            raise ValueError("there is no image to compare: the split has none with a mask or boxes, or limit is 0.")
        if len(images) != len(items):
            raise ValueError(f"images and items must be of one length, got {len(images)} and {len(items)}.")
        if reference not in methods:
            raise ValueError(f"the reference {reference!r} is not among the methods {sorted(methods)}.")
        if ceiling == reference:
            raise ValueError(f"the ceiling cannot be the reference, got {ceiling!r} for both.")
        strange = [name for name in methods if not re.fullmatch(r"[\w.-]+", name)]
        if strange:
            raise ValueError(f"methods' names are made of letters, digits, '_', '-' and '.', got {strange}.")
        trained_on = set(training_groups)
        seen = [item for item in items if item["group"] in trained_on]
        if seen and not allow_training_images:
            raise ValueError(
                f"{len(seen)} of the {len(items)} images belong to groups (patients) that were trained on, first "
                f"{seen[0]['id']} of group {seen[0]['group']}. Compare on a held-out split, or allow it "
                "(--allow-training-images; allow_training_images=True): localisation is then too good."
            )
        self.methods = dict(methods)
        self.images = images
        self.items = items
        self.classifier = classifier
        self.decision = Decision() if decision is None else decision
        self.output_dir = Path(output_dir)
        self.average = average
        self.reference = reference
        self.ceiling = ceiling
        self.n_training_images = len(seen)
        self.overwrite = overwrite
        self.seed = seed
        self.n_gallery = n_gallery
        self.n_resamples = n_resamples
        self.notes = {name: note for name, note in (notes or {}).items() if name in methods and note}
        self.title = title
        self.speed = speed
        self.realism = realism
        self.settings = dict(settings or {})
        self.device = torch.device(device)
        self._in_gallery = set(np.linspace(0, len(items) - 1, min(n_gallery, len(items))).astype(int).tolist())

    def run(self) -> dict[str, Any]:
        """Measure what is not measured yet, write the results and return what ``results.json`` holds.

        Raises:
            ValueError: when the folder holds a comparison with other settings.
        """
        first = self._load(0)
        if self.realism is not None:
            self.realism.check(first.image)
        fingerprint = {
            "version": __version__,
            "methods": {name: describe(explainer) for name, explainer in self.methods.items()},
            "average": describe(self.average),
            "classifier": describe(self.classifier),
            "decision": describe(self.decision),
            "images": [[str(item["id"]), str(item["group"])] for item in self.items],
            "image_shape": list(first.image.shape[1:]),
            "first_image": checksum(first.image, first.mask),
            "seed": self.seed,
            "n_gallery": self.n_gallery,
            "device": str(self.device),
        }
        with Records(self.output_dir, fingerprint, self.overwrite) as records:
            reasons = self._measure(records)
            settings = {**self._settings(fingerprint), "speed": self._speed()}
            realism = self._realism(fingerprint)
            results = summarise(records.rows, self._variants(), self.items, settings, reasons, realism)
            write_results(results, self.output_dir)
            write_report(results, self.output_dir / GALLERY, self.output_dir / "report.html")
        return results

    def _speed(self) -> list[dict[str, Any]]:
        """Rows of the speed measurement, from its file when the same one was made before."""
        if self.speed is None:
            return []
        path, asked = self.output_dir / SPEED, describe(self.speed)
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if found.get("asked") != asked:
            found = {"asked": asked, "rows": self.speed()}
            write_atomically(path, json.dumps(found, indent=1) + "\n")
        rows: list[dict[str, Any]] = found["rows"]
        return rows

    def _realism(self, fingerprint: Mapping[str, Any]) -> dict[str, Any] | None:
        """What is measured of the generated images of all methods that have some."""
        explainers = {name: one for name, one in self.methods.items() if one is not None and generates_images(one)}
        if self.realism is None or not explainers:
            return None
        asked = {name: fingerprint[name] for name in ("classifier", "decision")}
        return self.realism.measure(explainers, self._decided, self.output_dir, self.device, asked)

    def _decided(self, images: Tensor) -> Tensor:
        return self._probability(images) > self.decision.threshold

    def _settings(self, fingerprint: Mapping[str, Any]) -> dict[str, Any]:
        """What a reader of the results must know of how they came about."""
        return {
            "title": self.title,
            **self.settings,
            "classifier": fingerprint["classifier"],
            "reference": self.reference,
            "ceiling": self.ceiling,
            "seed": self.seed,
            "n_resamples": self.n_resamples,
            "average": fingerprint["average"],
            "image_shape": fingerprint["image_shape"],
            "n_training_images": self.n_training_images,
            "device": str(self.device),
            "threads": torch.get_num_threads(),
            "versions": {
                "monai_advexplain": __version__,
                "monai": monai.__version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
            "command": shlex.join(["python", *sys.orig_argv[1:]]),
            "output_dir": str(self.output_dir),
            "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
            "methods": fingerprint["methods"],
            "notes": self.notes,
            "gallery": sorted(self._in_gallery),
        }

    def _variants(self) -> list[Variant]:
        return [Variant(*pair) for pair in product(self.methods, (False, True) if self.average else (False,))]

    def _explainers(self) -> tuple[dict[Variant, Explainer], dict[Variant, str]]:
        """The explainers that there are, and why the others are not there."""
        explainers: dict[Variant, Explainer] = {}
        reasons: dict[Variant, str] = {}
        for variant in self._variants():
            plain = self.methods[variant.method]
            if plain is None:
                reasons[variant] = self.notes.get(variant.method, "disabled in the configuration")
            elif not variant.regularised:
                explainers[variant] = plain
            elif self.average is not None:
                explainers[variant] = self.average(plain)
        return explainers, reasons

    def _measure(self, records: Records) -> dict[Variant, str]:
        """Add the missing rows; returns why rows are missing for good."""
        explainers, reasons = self._explainers()
        pending = {
            index: [variant for variant in explainers if not records.has(Key(index, variant))]
            for index in range(len(self.items))
        }
        total = sum(map(len, pending.values()))
        done = len(explainers) * len(self.items) - total
        with tqdm(total=done + total, initial=done, desc="comparison", unit="map", smoothing=0.0) as bar:
            warm: set[Variant] = set()
            for index, variants in pending.items():
                if not variants:
                    continue
                sample = self._load(index)
                for variant in (variant for variant in variants if variant not in warm):
                    warm.add(variant)
                    bar.set_postfix_str(f"{variant}, warm-up")
                    plain = variant._replace(regularised=False)
                    reason = reasons.get(plain) or _failure(explainers[variant], sample.image)
                    if reason:
                        reasons[variant] = reason
                        tqdm.write(f"{variant} cannot run: {reason}")
                order = np.random.default_rng([self.seed, index]).permutation(len(variants))
                for variant in (variants[position] for position in order):
                    if variant not in reasons:
                        bar.set_postfix_str(str(variant))
                        records.append(self._row(index, sample, variant, explainers[variant]))
                    bar.update()
        return reasons

    def _load(self, index: int) -> _Sample:
        item = self.images[index]
        image, mask = (
            convert_to_tensor(item[key], track_meta=False, dtype=torch.float32, device=self.device)[None]
            for key in ("image", "mask")
        )
        if mask.shape != (1, 1, *image.shape[2:]):
            raise ValueError(
                f"image {self.items[index]['id']}: the mask has shape {tuple(mask.shape[1:])}, wanted "
                f"{(1, *image.shape[2:])} as the image {tuple(image.shape[1:])} has."
            )
        label = item.get("label")
        probability = float(self._probability(image))
        decided = probability > self.decision.threshold
        return _Sample(image, mask, None if label is None else float(label), probability, decided)

    @torch.no_grad()
    def _probability(self, images: Tensor) -> Tensor:
        with evaluating(self.classifier):
            return self.decision.probability(self.classifier(images))

    def _row(self, index: int, sample: _Sample, variant: Variant, explainer: Explainer) -> dict[str, Any]:
        row: dict[str, Any] = {
            "image": index,
            "id": str(self.items[index]["id"]),
            "group": str(self.items[index]["group"]),
            "method": variant.method,
            "regularised": variant.regularised,
            "label": sample.label,
            "probability": sample.probability,
            "decided": sample.decided,
            "mask_share": float(sample.mask.mean()),
            "error": None,
        }
        try:
            start = _now(self.device)
            maps = explainer(sample.image)
            seconds = _now(self.device) - start
            row |= {"seconds": seconds, "scores": self._scores(sample, variant, maps), "curve": None}
            if sample.mask.any():
                curve = localisation_curve(maps, sample.mask)
                row["curve"] = [[round(x, _DIGITS) for x in values[0].tolist()] for values in curve]
        except Exception as error:
            return row | {"seconds": None, "scores": {}, "curve": None, "error": one_line(error)}
        if index in self._in_gallery:
            self._keep(index, sample, str(variant), maps)
        return row

    def _scores(self, sample: _Sample, variant: Variant, maps: Tensor) -> dict[str, float | None]:
        threshold = self.decision.threshold
        scores = localisation_scores(maps, sample.mask)
        scores |= faithfulness_scores(sample.image, maps, self._probability, threshold=threshold)
        plain = self.methods[variant.method]
        if generates_images(plain) and not variant.regularised:  # regularisation changes maps, not images
            scores |= self._scores_of_images(sample.image, plain)
        return {name: _finite(float(value)) for name, value in scores.items()}

    def _scores_of_images(self, image: Tensor, explainer: Any) -> dict[str, Tensor]:
        with torch.no_grad():
            pair = explainer.generate(image)
        naive = isinstance(explainer, NaiveExplainer)  # has no similar image: the image itself takes its place
        similar, threshold = image if naive else pair.similar, self.decision.threshold
        scores = counterfactual_scores(image, similar, pair.adversarial, self._probability, threshold=threshold)
        return {name: score for name, score in scores.items() if not (naive and name in _OF_SIMILAR)}

    def _keep(self, index: int, sample: _Sample, name: str, maps: Tensor) -> None:
        """Keep the pictures of an image for the report; of volumes the slice with the largest ground truth."""
        folder = self.output_dir / GALLERY / str(index)
        folder.mkdir(parents=True, exist_ok=True)
        mask = sample.mask[0, 0]
        position = int(mask.sum(dim=(0, 1)).argmax()) if mask.ndim == 3 and mask.any() else mask.shape[-1] // 2
        for file, array in (("image", sample.image[0].mean(dim=0)), ("mask", mask), (f"map {name}", maps[0, 0])):
            picture = array[..., position] if array.ndim == 3 else array
            np.save(folder / f"{file}.npy", picture.cpu().numpy().astype(np.float16 if file == "image" else np.float32))


def _failure(explainer: Explainer, image: Tensor) -> str:
    """Why a call fails, or an empty text."""
    try:
        explainer(image)
    except Exception as error:
        return one_line(error)
    return ""


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
