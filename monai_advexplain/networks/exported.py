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

"""ExportedNetwork: a program of ``torch.export`` as a network like any other."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ExportedNetwork(nn.Module):
    """An exported program that can be put in eval mode, says what it takes, and has a gradient or says why not.

    A program is what it was exported as: ``eval()`` and ``train()`` change nothing (and fail on the module of torch).
    Measured with torch 2.13: the gradient with respect to the image is that of the exported network bit for bit; the
    batch size and every spatial size are fixed unless the export declares them dynamic.

    Args:
        program: exported in eval mode, from one input (B, C, *spatial), B dynamic.
        name: what messages call it, such as the path of its file.

    Raises:
        ValueError: when it has another number of inputs, takes batches of one size only, or was exported in training
            mode, where it would drop out, or change its statistics with every image.

    Example::

        size = torch.export.Dim.DYNAMIC
        program = torch.export.export(classifier.eval(), (images,), dynamic_shapes=({0: size, 2: size, 3: size},))
        torch.export.save(program, "classifier.pt2")
    """

    def __init__(self, program: torch.export.ExportedProgram, name: str = "the exported program") -> None:
        super().__init__()
        self.name = name
        inputs = program.graph_signature.user_inputs
        if len(inputs) != 1:
            raise ValueError(f"{name} takes {len(inputs)} inputs {inputs}, wanted one, the images.")
        placeholder = next(node for node in program.graph.nodes if node.name == inputs[0])
        # None where an axis is dynamic
        self.shape = [size if isinstance(size, int) else None for size in placeholder.meta["val"].shape]
        if self.shape[0] is not None:
            raise ValueError(
                f"{name} takes batches of {self.shape[0]} image(s) only: export it with "
                "dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)."
            )
        operator = _training_operator(program)
        if operator is not None:
            raise ValueError(f"{name} was exported in training mode ({operator}): call eval() before the export.")
        self.network = program.module()
        for module in self.modules():  # eval() of torch's own module raises
            module.training = False

    def train(self, mode: bool = True) -> ExportedNetwork:
        """Stay as exported."""
        return self

    def forward(self, image: Tensor) -> Tensor:
        """What the program returns for ``image`` (B, C, *spatial).

        Raises:
            ValueError: for an image of a size that the program was not exported for.
            RuntimeError: when a gradient is wanted and the program has none.
        """
        fits = len(image.shape) == len(self.shape) and all(
            wanted in (None, found) for found, wanted in zip(image.shape, self.shape, strict=True)
        )
        if not fits:
            wanted = ", ".join("any" if size is None else str(size) for size in self.shape)
            raise ValueError(
                f"{self.name} was exported for images of shape ({wanted}), got {tuple(image.shape)}; an "
                "AdaptedClassifier repeats channels and resizes."
            )
        output = self.network(image)
        logits = output[0] if isinstance(output, tuple) else output
        if torch.is_grad_enabled() and image.requires_grad and not logits.requires_grad:
            raise RuntimeError(
                f"{self.name} has no gradient with respect to the image: it was exported with torch.no_grad() or "
                "detach() inside."
            )
        return output


def _training_operator(program: torch.export.ExportedProgram) -> str | None:
    """The first operator of a program that drops out or updates running statistics, if any."""
    for node in program.graph.nodes:
        schema = getattr(node.target, "_schema", None)
        if schema is None:
            continue
        names = [argument.name for argument in schema.arguments]
        given = dict(zip(names, node.args, strict=False)) | node.kwargs
        updates = given.get("running_mean") is not None and (given.get("training") or given.get("use_input_stats"))
        if updates or given.get("train"):
            return str(node.target)
    return None
