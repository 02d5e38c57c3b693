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

"""Command line: ``python -m monai_advexplain {demo,phantom}``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m monai_advexplain", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="the whole method on phantom radiographs, in minutes on a CPU")
    demo.add_argument("--output", type=Path, default=Path("demo_output"), help="folder for all results")
    demo.add_argument(
        "--bundle", type=Path, default=Path("bundles/chest_xray_advexplain"), help="chest bundle's folder"
    )
    demo.add_argument("--quick", action="store_true", help="a run of seconds that only shows that everything runs")
    demo.add_argument("--seed", type=int, default=0)
    phantom = commands.add_parser("phantom", help="write chest phantoms as DICOM in the RSNA challenge's layout")
    phantom.add_argument("output", type=Path, help="folder to write")
    phantom.add_argument("--images", type=int, default=600, help="number of images")
    phantom.add_argument("--size", type=int, default=128, help="columns and rows")
    phantom.add_argument("--confounder", type=float, default=0.0, help="0 to 1: how a corner marker follows the label")
    phantom.add_argument("--seed", type=int, default=0)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "demo":
            from monai_advexplain.benchmark.demo import run_demo

            table = run_demo(options.output, options.bundle, options.quick, options.seed)
            results = options.output / "eval"
            print(f"\n{table}\n\nPictures: {results / 'pictures.png'}\nMetrics:  {results / 'metrics.json'}")
        else:
            from monai_advexplain.data import write_chest_phantom

            folder = write_chest_phantom(
                options.output, options.images, options.size, confounder=options.confounder, seed=options.seed
            )
            print(f"{options.images} images in {folder}")
    except (ValueError, FileNotFoundError, FileExistsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
