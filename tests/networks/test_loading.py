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

"""Weights from files: all of them or none, with an error that names what does not fit."""

from __future__ import annotations

import pytest
import torch

from monai_advexplain.networks import load_classifier, load_weights
from tests.small import assert_unchanged, classifier, images, snapshot


def saved(content, path):
    torch.save(content, path)
    return path


@pytest.mark.parametrize("key", [None, "model", "state_dict", "network"])
def test_a_state_dict_is_loaded_plain_or_nested(tmp_path, key):
    source, target = classifier(seed=0), classifier(seed=1)
    state = source.state_dict()
    path = saved(state if key is None else {key: state, "epoch": 3}, tmp_path / "weights.pt")
    assert not torch.equal(source(images()), target(images()))
    assert load_weights(path, target) is target
    torch.testing.assert_close(source(images()), target(images()))


def test_a_loaded_classifier_is_frozen(tmp_path):
    path = saved(classifier(seed=0).state_dict(), tmp_path / "weights.pt")
    net = load_classifier(str(path), classifier(seed=1).train())
    torch.testing.assert_close(net(images()), classifier(seed=0)(images()))
    assert not net.training
    assert not any(p.requires_grad for p in net.parameters())


def test_a_torchscript_file_is_a_classifier_without_a_network(tmp_path):
    source = classifier()
    torch.jit.script(classifier().train()).save(str(tmp_path / "classifier.ts"))
    net = load_classifier(tmp_path / "classifier.ts")
    torch.testing.assert_close(net(images()), source(images()))
    assert not any(m.training for m in net.modules())
    assert not any(p.requires_grad for p in net.parameters())


@pytest.mark.parametrize("load", [load_weights, load_classifier, lambda path, _: load_classifier(path)])
def test_a_missing_file_is_named(tmp_path, load):
    with pytest.raises(FileNotFoundError, match=r"no weights at .*nowhere\.pt"):
        load(tmp_path / "nowhere.pt", classifier())


@pytest.mark.parametrize("content", [b"", b"not a checkpoint at all", b"PK\x03\x04 half a zip file"])
def test_a_garbage_file_is_refused_by_name_and_the_network_stays_as_it_was(tmp_path, content):
    path = tmp_path / "garbage.pt"
    path.write_bytes(content)
    net = classifier()
    before = snapshot(net)
    with pytest.raises(ValueError, match=r"garbage\.pt cannot be read as a state dict"):
        load_weights(path, net)
    assert_unchanged(net, before)
    with pytest.raises(ValueError, match=r"garbage\.pt is not a TorchScript file.* declare the network"):
        load_classifier(path)


def test_a_truncated_checkpoint_is_refused(tmp_path):
    path = saved(classifier().state_dict(), tmp_path / "weights.pt")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match=r"weights\.pt cannot be read"):
        load_weights(path, classifier())


def test_a_state_dict_without_a_network_asks_for_one(tmp_path):
    path = saved(classifier().state_dict(), tmp_path / "weights.pt")
    with pytest.raises(ValueError, match="declare the network that it belongs to"):
        load_classifier(path)


def test_a_file_of_something_else_is_refused_with_its_type(tmp_path):
    with pytest.raises(ValueError, match="holds a list, wanted a state dict"):
        load_weights(saved([1, 2], tmp_path / "weights.pt"), classifier())


def refused(content, net, tmp_path):
    """The message with which the content is refused; the net is checked to be untouched."""
    before = snapshot(net)
    with pytest.raises(ValueError, match="do not fit") as error:
        load_weights(saved(content, tmp_path / "weights.pt"), net)
    assert_unchanged(net, before)
    return str(error.value)


def test_weights_of_another_shape_are_refused_with_name_and_both_shapes(tmp_path):
    message = refused(classifier(outputs=3, seed=1).state_dict(), classifier(), tmp_path)
    assert "do not fit Sequential" in message
    assert "8.weight has shape (3, 8), wanted (1, 8)" in message
    assert "8.bias has shape (3,), wanted (1,)" in message


def test_missing_and_unexpected_entries_are_named_and_counted(tmp_path):
    state = classifier(seed=1).state_dict()
    for name in ("0.weight", "0.bias"):
        state[f"module.{name}"] = state.pop(name)
    message = refused(state, classifier(), tmp_path)
    assert "missing 0.weight; missing 0.bias; unexpected module.0.weight and 1 more" in message


def test_an_entry_that_is_no_tensor_is_refused(tmp_path):
    state = dict(classifier(seed=1).state_dict()) | {"8.bias": 0.5}
    assert "8.bias is a float, wanted a tensor of shape (1,)" in refused(state, classifier(), tmp_path)
