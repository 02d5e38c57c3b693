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

"""Randomisation checks: a map that shows what the classifier learned must change when it has learned nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from monai_advexplain.sanity.randomised import layers
from monai_advexplain.sanity.subject import PROPOSED
from monai_advexplain.sanity.workbench import Workbench


def model_randomisation(bench: Workbench) -> dict[str, Any]:
    """Generators that were trained against the classifier and against its randomised copy, equally briefly.

    And the bundle's own generators, which cannot know of a classifier that was randomised after their training: their
    adversarial images must no longer turn its decisions.

    Returns:
        Rows by name: ``retrained`` (similarity of both brief trainings' maps), ``reference`` and ``against_random``
        (their rates), ``frozen`` and ``frozen_against_random`` (those of the bundle's generators).
    """
    images, random_path = bench.images.images, bench.randomise_classifier()
    return _retrained_against(bench, "model_randomisation", random_path) | {
        "frozen": bench.bundle.rates(images),
        "frozen_against_random": bench.subject(classifier_path=random_path).rates(images),
    }


def label_randomisation(bench: Workbench) -> dict[str, Any]:
    """Generators against a classifier that was trained, by the bundle's config, on labels dealt out at random.

    Returns:
        As :func:`model_randomisation`, without the bundle's own generators; ``accuracy`` is that of the classifier on
        the true labels.
    """
    path = bench.train_classifier(label_seed=bench.settings["seed"])
    result = _retrained_against(bench, "label_randomisation", path)
    decided = bench.subject(classifier_path=path).decided(bench.images.images).cpu().numpy()
    return result | {"accuracy": {"accuracy": (decided == bench.images.labels).astype(float)}}


def _retrained_against(bench: Workbench, name: str, other_classifier: Path) -> dict[str, Any]:
    images, seed = bench.images.images, bench.settings["training_seeds"][0]
    reference = bench.subject(model_path=bench.train_explainer(bench.classifier_path, seed=seed))
    other = bench.subject(
        classifier_path=other_classifier, model_path=bench.train_explainer(other_classifier, seed=seed)
    )
    maps = [subject.maps(PROPOSED, images) for subject in (reference, other)]
    bench.draw(name, images, {"classifier": maps[0], "randomised": maps[1]})
    return {
        "retrained": bench.similarity(*maps),
        "reference": reference.rates(images),
        "against_random": other.rates(images),
    }


def cascading_randomisation(bench: Workbench) -> dict[str, Any]:
    """Attribution methods on the classifier, randomised from the head down, against their maps of the intact one.

    Returns:
        A row ``METHOD COUNT`` for every method and number of randomised layers.
    """
    images, methods = bench.images.images, bench.settings["attribution_methods"]
    total = len(layers(bench.classifier_network()))
    counts = sorted({int(count) for count in np.linspace(1, total, bench.settings["cascade_steps"]).round()})
    before = {method: bench.bundle.maps(method, images) for method in methods}
    rows: dict[str, Any] = {}
    for count in counts:
        subject = bench.subject(classifier_path=bench.randomise_classifier(count))
        for method in methods:
            rows[f"{method} {count}"] = bench.similarity(before[method], subject.maps(method, images))
    return rows
