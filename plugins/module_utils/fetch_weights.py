# SPDX-License-Identifier: Apache-2.0
"""Fetches a model's files into a folder; a program that runs by the environment's own Python.

Called as `python fetch_weights.py JSON`, with the token, if any, in HF_TOKEN. The last line of its
output is a JSON object; a failure is one line on stderr and exit code 1.
"""

from __future__ import annotations

import fnmatch
import functools
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

# Beside the weights, room for what a download keeps on the way.
SPARE_BYTES = 1 << 30


class FetchError(Exception):
    """The files can't be had; the text says why and what to do."""


def check_space(folder: Path, needed: int) -> None:
    """Refuse to start what would fill the disk.

    Args:
        needed: bytes still to be written.

    Raises:
        FetchError: too little is free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE_BYTES:
        raise FetchError(
            f"{folder} has {free / 1e9:.1f} GB free, the model needs {needed / 1e9:.1f} GB and "
            "1.1 GB to spare: make the disk larger, or keep models elsewhere (llm_model_dir)."
        )


def wanted_files(sizes: dict[str, int], ignore: list[str]) -> dict[str, int]:
    """Choose from a repository's files, name -> bytes.

    Files that match a pattern are left out, and so are pickled weights where safetensors exist.
    """
    ignore = list(ignore)
    if any(name.endswith(".safetensors") for name in sizes):
        ignore.append("*.bin")
    return {n: s for n, s in sizes.items() if not any(fnmatch.fnmatch(n, p) for p in ignore)}


def fetch_hub(spec: dict[str, Any], folder: Path) -> str:
    """Download a repository of the Hugging Face hub; returns the commit it stood at."""
    # Only the environment on the host has these packages.
    from huggingface_hub import (  # type: ignore[import-not-found]  # noqa: PLC0415
        HfApi,
        errors,
        snapshot_download,
    )

    repository = spec["repository"]
    revision = spec["revision"] or None
    try:
        info = HfApi().model_info(repository, revision=revision, files_metadata=True)
        sizes = {item.rfilename: item.size or 0 for item in info.siblings or []}
        files = wanted_files(sizes, spec["ignore_patterns"])
        done = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        check_space(folder, max(0, sum(files.values()) - done))
        snapshot_download(
            repository,
            revision=info.sha,
            local_dir=folder,
            allow_patterns=sorted(files),
        )
    except errors.GatedRepoError as error:
        raise FetchError(
            f"{repository} is gated: accept its terms on its page, then give an access token of "
            "that account (llm_model_token)."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise FetchError(
            f"{repository} has no revision {revision!r} (llm_model_revision)."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise FetchError(
            f"The hub knows no model {repository!r}, or it is private and the token "
            "(llm_model_token) is missing or may not read it."
        ) from error
    except (errors.HfHubHTTPError, OSError) as error:
        raise FetchError(f"{repository} could not be downloaded: {error}") from error
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    return str(info.sha)


def unpack_gguf(spec: dict[str, Any], folder: Path) -> str:
    """Turn a GGUF file into safetensors, tokenizer and chat template; returns the file's name."""
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

    source = Path(spec["gguf"])
    place = {"pretrained_model_name_or_path": str(source.parent), "gguf_file": source.name}
    tokenizer = AutoTokenizer.from_pretrained(**place)
    model = AutoModelForCausalLM.from_pretrained(
        **place, dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True)
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return source.name


def main() -> int:
    """Run one fetch as the argument says."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    spec = json.loads(sys.argv[1])
    fetch = {"hub": fetch_hub, "gguf": unpack_gguf}[spec["how"]]
    try:
        resolved = fetch(spec, Path(spec["folder"]))
    except FetchError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    print(json.dumps({"resolved": resolved}))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
