# SPDX-License-Identifier: Apache-2.0
"""Asks a real vLLM, in its own Python: usage vllm_answers.py ROWS.json, answers as JSON.

`rows` gives what its configuration raises for each row (null: nothing), `methods`, `architectures`
and `arguments` what it knows, `multimodal` its models with an encoder, and `capabilities` the least
compute capabilities of quantisation methods.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, get_args

os.environ |= {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "ERROR"}

# Groups of the registry that the plan's table leaves out, or that are made of the others.
_OTHERS = {
    "_VLLM_MODELS",
    "_SPECULATIVE_DECODING_MODELS",
    "_TRANSFORMERS_BACKEND_MODELS",
    "_PREVIOUSLY_SUPPORTED_MODELS",
    "_OOT_SUPPORTED_MODELS",
}


def refusal(row: dict[str, Any]) -> str | None:
    """What vLLM raises while it reads a configuration."""
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.usage.usage_lib import UsageContext

    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(row["config"]))
        try:
            AsyncEngineArgs(
                model=folder, skip_tokenizer_init=True, **row["args"]
            ).create_engine_config(UsageContext.OPENAI_API_SERVER)
        except (ValueError, TypeError) as error:
            return str(error)
    return None


def main() -> None:
    """Entry point."""
    import dataclasses

    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.model_executor.layers import quantization
    from vllm.model_executor.models import registry

    # vLLM would look at each class in a new process, which imports everything once more.
    registry._LazyRegisteredModel.inspect_model_cls = lambda lazy: (
        registry._ModelInfo.from_model_cls(lazy.load_model_cls())
    )
    json.dump(
        {
            "rows": [refusal(row) for row in json.loads(Path(sys.argv[1]).read_text())],
            "methods": sorted(
                {*get_args(quantization.QuantizationMethods)}
                - {*quantization.DEPRECATED_QUANTIZATION_METHODS}
            ),
            "architectures": sorted(
                name
                for kind, group in vars(registry).items()
                if kind.endswith("_MODELS") and kind not in _OTHERS
                for name in group
            ),
            "multimodal": sorted(registry._MULTIMODAL_MODELS),
            "capabilities": {
                name: quantization.get_quantization_config(name).get_min_capability() / 10
                for name in ("awq", "fp8", "modelopt", "modelopt_fp4", "mxfp4", "gptq")
            },
            "arguments": sorted(one.name for one in dataclasses.fields(AsyncEngineArgs)),
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
