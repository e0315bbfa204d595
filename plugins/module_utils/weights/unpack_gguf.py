# SPDX-License-Identifier: Apache-2.0
"""Turns a GGUF file into a model's folder; a program that runs by the environment's own Python.

Called as `python unpack_gguf.py FILE FOLDER`.
"""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path


def unpack(source: Path, folder: Path) -> None:
    """Write a GGUF file's weights as safetensors, its tokenizer and its chat template."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    import gguf  # noqa: PLC0415

    # transformers reads the file three times and asks for the same table once a module: 10 s of 20.
    gguf.GGUFReader = functools.cache(gguf.GGUFReader)
    gguf.get_tensor_name_map = functools.cache(gguf.get_tensor_name_map)

    import torch  # noqa: PLC0415
    from transformers import (  # noqa: PLC0415
        AutoModelForCausalLM,
        AutoTokenizer,
        GgufConfig,
    )

    place = {"pretrained_model_name_or_path": str(source.parent), "gguf_file": source.name}
    tokenizer = AutoTokenizer.from_pretrained(**place)
    model = AutoModelForCausalLM.from_pretrained(
        **place, dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True)
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    unpack(Path(sys.argv[1]), Path(sys.argv[2]))
