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

"""ExplainerNet: one tensor from forward, the pair from generate, the same when scripted, errors with shapes."""

from __future__ import annotations

import io

import pytest
import torch

from monai_advexplain.networks import ExplainerNet
from tests.small import SIZES, explainer_net, images, trained_looking

DIMS = pytest.mark.parametrize("dims", [2, 3])
FORMS = pytest.mark.parametrize("separate", [False, True], ids=["two heads", "separate"])
RULES = pytest.mark.parametrize("rule", ["similar_adversarial", "naive"])


@DIMS
@RULES
def test_forward_returns_the_mean_absolute_change_as_one_tensor(dims, rule):
    net = trained_looking(explainer_net(dims, channels=2, rule=rule))
    image = images(channels=2, dims=dims)
    similar, adversarial = net.generate(image)
    explanation = net(image)
    assert isinstance(explanation, torch.Tensor)
    assert explanation.shape == (2, 1, *SIZES[dims])
    first = (image if rule == "naive" else similar).detach().numpy()
    expected = abs(first - adversarial.detach().numpy()).mean(axis=1, keepdims=True)
    torch.testing.assert_close(explanation.detach(), torch.from_numpy(expected))
    assert explanation.max() > 0.01


def test_the_two_rules_explain_differently():
    image = images()
    proposed, naive = (trained_looking(explainer_net(rule=rule))(image) for rule in ("similar_adversarial", "naive"))
    assert not torch.allclose(proposed, naive, atol=1e-3)


@DIMS
@FORMS
@RULES
def test_torchscript_gives_the_same_map_and_the_same_pair_also_from_a_file(dims, separate, rule):
    net = trained_looking(explainer_net(dims, separate=separate, rule=rule)).eval()
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(net), buffer)
    buffer.seek(0)
    scripted = torch.jit.load(buffer)
    image = images(dims=dims)
    torch.testing.assert_close(scripted(image), net(image))
    pair, scripted_pair = net.generate(image), scripted.generate(image)
    torch.testing.assert_close(scripted_pair.similar, pair.similar)
    torch.testing.assert_close(scripted_pair.adversarial, pair.adversarial)
    torch.testing.assert_close(scripted.explain(image, scripted_pair), net(image))
    assert not torch.equal(pair.similar, pair.adversarial)


@pytest.fixture(scope="module", params=["eager", "scripted"])
def net_of_one_channel(request):
    net = explainer_net()
    return torch.jit.script(net) if request.param == "scripted" else net


@pytest.mark.parametrize("method", ["forward", "generate"])
@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ((2, 3, 16, 16), r"2 spatial dimensions, 1 channel\(s\), shape \(batch, 1, ...\); got shape \[2, 3, 16, 16\]"),
        ((1, 16, 16), r"2 spatial dimensions, 1 channel\(s\).* got shape \[1, 16, 16\]"),
        ((2, 1, 8, 8, 8), r"2 spatial dimensions, 1 channel\(s\).* got shape \[2, 1, 8, 8, 8\]"),
        ((2, 1, 16, 15), r"multiple of 2; got shape \[2, 1, 16, 15\]"),
        ((2, 1, 15, 16), r"multiple of 2; got shape \[2, 1, 15, 16\]"),
    ],
)
def test_an_image_of_another_shape_is_refused_with_both_shapes(net_of_one_channel, method, shape, wanted):
    scripted = isinstance(net_of_one_channel, torch.jit.ScriptModule)
    with pytest.raises(torch.jit.Error if scripted else ValueError, match=wanted):
        getattr(net_of_one_channel, method)(torch.rand(shape))


def test_an_unknown_rule_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'similar_adversarial', 'naive'.* got 'difference'"):
        ExplainerNet(torch.nn.Identity(), rule="difference")
