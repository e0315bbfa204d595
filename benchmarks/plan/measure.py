# SPDX-License-Identifier: Apache-2.0
"""Start vLLM on this machine's GPU for each shape and write down what it says of its memory.

usage: measure.py OUT.jsonl [--from RUNS.json] [--seconds ALL] [--each SECONDS] [--runs N,N] [--dry]

One line for each run: the engine arguments, the bytes that vLLM counted (weights, activations, what
is not PyTorch's, CUDA graphs, what is left for the KV cache), its KV cache's tokens and blocks,
whether it started, and the error where it did not. Weights are random (`load_format=dummy`); no
tokenizer is needed. vLLM is imported once and each run is a fork of that, so that imports cost
nothing; where the import has touched CUDA, each run imports for itself.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

# The engine runs in the process itself, so that its worker can be read.
os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("VLLM_USE_FLASHINFER_SAMPLER", "0")
os.environ.setdefault("VLLM_USE_DEEP_GEMM", "0")
os.environ.setdefault("VLLM_HOST_IP", "127.0.0.1")
os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
os.environ.setdefault("NCCL_SOCKET_IFNAME", "lo")

import shapes


class Measured(SystemExit):
    """Ends a run whose numbers are all there."""


def _snapshot(one: Any) -> dict[str, int]:
    names = (
        "torch_peak",
        "free_memory",
        "total_memory",
        "cuda_memory",
        "torch_memory",
        "non_torch_memory",
    )
    return {name: int(getattr(one, name)) for name in names}


def _watch(found: dict[str, Any], serve: bool) -> None:
    """Have vLLM's worker and its KV cache's configuration leave their numbers in `found`."""
    import torch
    from vllm.model_executor.models import registry
    from vllm.v1.core import kv_cache_utils
    from vllm.v1.worker import gpu_worker

    # vLLM would look at the model's class in a new process, which imports everything once more.
    registry._LazyRegisteredModel.inspect_model_cls = lambda lazy: (
        registry._ModelInfo.from_model_cls(lazy.load_model_cls())
    )
    profiling, determine = gpu_worker.memory_profiling, gpu_worker.Worker.determine_available_memory
    capacity = kv_cache_utils.get_kv_cache_capacity

    @contextlib.contextmanager
    def watched_profiling(*args: Any, **kwargs: Any) -> Any:
        found["peak_while_loading"] = torch.cuda.max_memory_allocated()
        with profiling(*args, **kwargs) as result:
            found["allocated_before_profile"] = torch.cuda.memory_allocated()
            yield result
        for name in ("before_create", "before_profile", "after_profile"):
            found[name] = _snapshot(getattr(result, name))

    def watched_determine(worker: Any) -> int:
        runner = worker.model_runner
        run = runner._dummy_run

        def watched_run(*args: Any, **kwargs: Any) -> Any:
            result = run(*args, **kwargs)
            if kwargs.get("is_profile"):
                found["peak_after_forward"] = torch.cuda.max_memory_allocated()
            return result

        runner._dummy_run = watched_run
        found["runner"] = type(runner).__module__
        parameters = dict(runner.model.named_parameters())
        found["parameters"] = len(parameters)
        found["parameter_bytes"] = sum(
            one.numel() * one.element_size() for one in parameters.values()
        )
        found["buffer_bytes"] = sum(
            one.numel() * one.element_size() for _, one in runner.model.named_buffers()
        )
        try:
            return determine(worker)
        finally:
            runner._dummy_run = run
            for name in (
                "requested_memory",
                "non_torch_memory",
                "peak_activation_memory",
                "cudagraph_memory_estimate",
                "available_kv_cache_memory_bytes",
            ):
                if hasattr(worker, name):
                    found[name] = int(getattr(worker, name))
            found["weights_memory"] = int(runner.model_memory_usage)
            config = worker.vllm_config
            found["block_size"] = config.cache_config.block_size
            found["utilization"] = config.cache_config.gpu_memory_utilization
            found["attention_backend"] = [
                str(one) for one in {type(layer).__name__ for layer in _attention(config)}
            ]

    def watched_capacity(config: Any, kv_config: Any) -> Any:
        tokens, concurrency = capacity(config, kv_config)
        found["kv_tokens"], found["max_concurrency"] = int(tokens), float(concurrency)
        found["num_blocks"] = int(kv_config.num_blocks)
        found["groups"] = [
            {
                "layers": len(group.layer_names),
                "spec": type(group.kv_cache_spec).__name__,
                "block_size": group.kv_cache_spec.block_size,
                "page_bytes": group.kv_cache_spec.page_size_bytes,
            }
            for group in kv_config.kv_cache_groups
        ]
        if not serve:
            raise Measured(0)
        return tokens, concurrency

    gpu_worker.memory_profiling = watched_profiling
    gpu_worker.Worker.determine_available_memory = watched_determine
    kv_cache_utils.get_kv_cache_capacity = watched_capacity


def _attention(config: Any) -> list[Any]:
    layers = config.compilation_config.static_forward_context.values()
    return [getattr(layer, "impl", None) for layer in layers if getattr(layer, "impl", None)]


def _start(name: str, arguments: dict[str, Any], serve: bool, found: dict[str, Any]) -> None:
    import torch
    from vllm import LLM, SamplingParams

    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(shapes.CONFIGS[name]))
        _watch(found, serve)
        began = time.monotonic()
        llm = LLM(
            model=folder,
            load_format="dummy",
            skip_tokenizer_init=True,
            dtype="bfloat16",
            **arguments,
        )
        found["seconds_to_start"] = round(time.monotonic() - began, 1)
        found["started"] = True
        if serve and arguments.get("runner") != "pooling":
            wanted = SamplingParams(max_tokens=8, ignore_eos=True, detokenize=False)
            prompts = [{"prompt_token_ids": [7] * 512} for _ in range(64)]
            found["generated"] = sum(
                len(one.outputs[0].token_ids)
                for one in llm.generate(prompts, wanted, use_tqdm=False)
            )
        if torch.cuda.is_available():
            free, total = torch.cuda.mem_get_info()
            found["used_when_serving"] = total - free


def _child(number: int, result: Path, log: Path) -> None:
    """Run one in a fork, and write its numbers whatever comes."""
    name, arguments, serve = shapes.RUNS[number]
    found: dict[str, Any] = {"run": number, "model": name, "arguments": arguments, "started": False}
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    try:
        _start(name, arguments, serve, found)
    except Measured:
        found["started"] = None  # Not tried to the end.
    except BaseException as error:  # Whatever it is, it is the result.
        found["error"] = f"{type(error).__name__}: {error}"[:1500]
        traceback.print_exc()
    result.write_text(json.dumps(found))
    sys.stdout.flush()
    os._exit(0)


def _run(number: int, limit: float, folder: Path, again: bool) -> dict[str, Any]:
    """Run one in a process of its own, which imports everything again where `again`."""
    result, log = folder / f"{number}.json", folder / f"{number}.log"
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        os.setsid()
        if again:
            source = sys.argv[sys.argv.index("--from") :][:2] if "--from" in sys.argv else []
            command = [sys.executable, __file__, str(result), *source]
            command += ["--one", str(number), str(log)]
            os.execv(sys.executable, command)  # noqa: S606 - this very program
        _child(number, result, log)
    while time.monotonic() - began < limit:
        if os.waitpid(child, os.WNOHANG)[0]:
            break
        time.sleep(0.05)
    else:
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
    name, arguments, _ = shapes.RUNS[number]
    found: dict[str, Any] = {
        "run": number,
        "model": name,
        "arguments": arguments,
        "error": "no result",
    }
    if result.exists():
        found = json.loads(result.read_text())
    found["seconds"] = round(time.monotonic() - began, 1)
    text = log.read_text(errors="replace") if log.exists() else ""
    found["log"] = [
        line[-400:]
        for line in text.splitlines()
        if any(
            word in line
            for word in (
                "KV cache",
                "Model loading took",
                "concurrency",
                "CUDA graph",
                "capturing",
                "Error",
                "block size",
            )
        )
    ][:25]
    if "kv_tokens" not in found:
        found["tail"] = text[-1500:]
    return found


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--from", dest="source", help="runs of prepare.py, instead of shapes.py")
    parser.add_argument("--seconds", type=float, default=350, help="for all runs")
    parser.add_argument("--each", type=float, default=90, help="for one run")
    parser.add_argument("--runs", default="", help="numbers of runs; all by default")
    parser.add_argument(
        "--dry", action="store_true", help="only read the configurations, without a GPU"
    )
    parser.add_argument("--one", nargs=2, metavar=("RUN", "LOG"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.source:
        _take(json.loads(Path(options.source).read_text()))
    if options.one:
        _child(int(options.one[0]), options.out, Path(options.one[1]))
    numbers = [int(one) for one in options.runs.split(",") if one] or list(range(len(shapes.RUNS)))
    began = time.monotonic()
    import torch

    if options.dry:
        _dry(numbers)
        return
    import vllm
    from vllm import LLM  # noqa: F401 - imported once, for all runs
    from vllm.v1.engine import llm_engine  # noqa: F401
    from vllm.v1.worker import gpu_worker  # noqa: F401

    # A fork could not use CUDA that is initialised already.
    again = torch.cuda.is_initialized()
    head = {
        "vllm": vllm.__version__,
        "torch": torch.__version__,
        "import_seconds": round(time.monotonic() - began, 1),
    }
    with tempfile.TemporaryDirectory() as folder, options.out.open("w") as out:
        print(json.dumps(head), file=out, flush=True)
        for number in numbers:
            left = options.seconds - (time.monotonic() - began)
            if left < 12:
                print(json.dumps({"run": number, "skipped": "no time left"}), file=out, flush=True)
                continue
            found = _run(number, min(options.each, left), Path(folder), again)
            print(json.dumps(found), file=out, flush=True)
            said = {
                key: found.get(key)
                for key in ("run", "model", "started", "kv_tokens", "seconds", "error")
            }
            print(json.dumps(said)[:300], flush=True)


def _take(given: dict[str, Any]) -> None:
    """Runs that were written down, with what is expected of them, instead of those of shapes.py."""
    shapes.CONFIGS = given["configs"]
    shapes.RUNS = [(run["model"], run["arguments"], run["serve"]) for run in given["runs"]]


def _dry(numbers: list[int]) -> None:
    """Let transformers read the configurations."""
    from transformers import AutoConfig

    for number in numbers:
        name, arguments, _ = shapes.RUNS[number]
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "config.json").write_text(json.dumps(shapes.CONFIGS[name]))
            config = AutoConfig.from_pretrained(folder)
        print(number, name, type(config).__name__, arguments)


if __name__ == "__main__":
    main()
