"""The one place where torchvision is imported, with the cure for a CUDA build of it beside a CPU build of torch.

The registry's torchvision for Linux is a CUDA build. Beside a CPU torch its compiled operators do not load and the
import dies with "operator torchvision::nms does not exist", although models and transforms need none of them.
Declaring the two operators that are looked up at import time is enough; `nms` itself, `torchvision.io` and
`v2.JPEG` stay unusable there, and nothing here uses them.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

import torch

_library: torch.library.Library | None = None  # the declarations live as long as this object does


def import_torchvision() -> ModuleType:
    """torchvision, with `torchvision.models` loaded. Import through here before anything else imports torchvision."""
    global _library  # noqa: PLW0603
    try:
        importlib.import_module("torchvision.models")
    except RuntimeError as error:
        if "torchvision::nms does not exist" not in str(error):
            raise
        for name in [m for m in sys.modules if m == "torchvision" or m.startswith("torchvision.")]:
            del sys.modules[name]
        _library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for operator in ("nms", "qnms"):
            _library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
        importlib.import_module("torchvision.models")
    return sys.modules["torchvision"]
