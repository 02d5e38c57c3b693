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

"""The gate of the bundles' generators decides as the classifier that is explained, whatever classifier that is."""

from __future__ import annotations

import pytest
import torch
from monai.bundle import ConfigParser

from monai_advexplain.inferers import check_fit
from monai_advexplain.networks import freeze
from tests.bundles.untrained import BUNDLES


@pytest.mark.parametrize("config", ["train", "evaluate", "inference"])
@pytest.mark.parametrize("bundle", sorted(BUNDLES.glob("*_advexplain")), ids=lambda path: path.name)
def test_another_classifier_is_its_own_gate(bundle, config, tmp_path):
    parser = ConfigParser()
    parser.read_config(str(bundle / "configs" / f"{config}.json"))
    torch.manual_seed(1)
    script = torch.jit.script(parser.get_parsed_content("classifier_def").eval())
    script.save(str(tmp_path / "classifier.ts"))
    entry = {"_target_": "monai_advexplain.networks.load_classifier", "path": str(tmp_path / "classifier.ts")}
    parser.update({"bundle_root": str(bundle), "classifier": entry})
    if config != "evaluate":  # which alone is never used without a classifier, see docs/classifiers.md
        parser.update({"gate_network": "$copy.deepcopy(@classifier)"})
    network, classifier = parser.get_parsed_content("network_def"), parser.get_parsed_content("classifier")
    image = torch.rand(2, 1, *(64,) * network.spatial_dims)
    check_fit(image.shape[2:], network, classifier, parser.get_parsed_content("decision"))
    with torch.no_grad():
        torch.testing.assert_close(network.generator.gate(image), classifier(image))


@pytest.mark.parametrize("bundle", sorted(BUNDLES.glob("*_advexplain")), ids=lambda path: path.name)
def test_a_gate_that_is_not_the_classifier_is_refused_before_training(bundle):
    parser = ConfigParser()
    parser.read_config(str(bundle / "configs" / "train.json"))
    parser.update({"bundle_root": str(bundle), "model_dir": "nowhere", "classifier": "$copy.deepcopy(@classifier_def)"})
    torch.manual_seed(1)
    classifier = freeze(parser.get_parsed_content("classifier"))
    with torch.no_grad():
        classifier.fc.bias += 1.0
    network, size = parser.get_parsed_content("network_def"), parser.get_parsed_content("image_size")
    with pytest.raises(ValueError, match=r"frozen gate of the network is another classifier .* Set gate_network to"):
        check_fit(size, network, classifier, parser.get_parsed_content("decision"))
