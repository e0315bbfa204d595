# SPDX-License-Identifier: Apache-2.0
"""Puts a plan together from the module's options and the model's files, and into words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..hardware import gpus, machine_types
from ..hardware.gpus import Gpu
from ..model import files as model_files
from ..model import quantization
from ..model import size as weights_size
from ..model.files import Files
from ..model.quantization import DTYPE_BYTES
from ..model.shape import Shape, parse
from ..sizing import cpu_fit, fit, machine_choice
from ..sizing.gpu_memory import gib
from ..suggest import did_you_mean
from ..vllm import compatibility, engine_args

SHOWN_MACHINE_TYPES = 5


class PlanError(ValueError):
    """The options don't go together; the text says which, and what is allowed."""


class UnknownGpuError(PlanError):
    """What the tables don't have, and Google may."""


def plan(options: Mapping[str, Any], config: Mapping[str, Any], files: Files) -> dict[str, Any]:
    """The plan, as RETURN of the module vllm_plan has it.

    Raises:
        UnknownGpuError: no such GPU, or a machine type without one.
        PlanError: a dtype that vLLM does not have.
        ArgumentError: an engine argument's value means nothing.
        SourceError, ShapeError: the model's files don't tell.
    """
    given = engine_args.plain(options["vllm_args"])
    if not quantization.method_of(parse(config).quantization):
        beside = model_files.quantization_beside(files, str(given.get("quantization") or ""))
        config = {**config, "quantization_config": beside}
    shape = parse(config)
    release = str(options.get("vllm_version") or "")
    workload = fit.Workload(options["context"] or None, options["concurrency"] or None)
    found = None if options["gpu"].lower() == "cpu" else _gpus(options)
    engine = engine_args.resolve(given, shape, found[0] if found else None)
    if engine.dtype not in DTYPE_BYTES:
        raise PlanError(f"dtype is {engine.dtype!r}: allowed are auto, {', '.join(DTYPE_BYTES)}")
    sizes = model_files.sizes(files, DTYPE_BYTES[engine.dtype], shape.dtype)
    size = None if sizes is None else sizes.loaded
    head = {
        "model": options["model"],
        "region": options["region"],
        "weights_from": "the shape" if sizes is None else "the files",
        "download_bytes": _download_bytes(shape) if sizes is None else sizes.stored,
    }
    if found is None:
        return head | cpu_fit.judge(shape, given, options, size, workload)
    gpu, number = found
    answer = fit.judge(
        shape, given, gpu, number, workload=workload, file_bytes=size, release=release
    )
    machines = machine_choice.choose(
        shape,
        given,
        region=options["region"],
        workload=workload,
        file_bytes=size,
        release=release,
    )
    for row in (answer, *machines):
        _refuse_build(row, options)
    machines.sort(key=lambda row: row["fits"] is False)
    if answer["fits"] is False:
        here = _here(shape, options, found, workload=workload, size=size, release=release)
        answer["reason"] += _what_would(machines, here, str(options["gpu"]))
    return head | answer | {"machine_types": machines}


def _download_bytes(shape: Shape) -> int:
    """What the checkpoint's files hold, by its shape and its own quantisation."""
    own = shape.dtype if shape.dtype in DTYPE_BYTES else "bfloat16"
    return weights_size.loaded_bytes(shape, own, quantization.of(shape.quantization))


def _refuse_build(row: dict[str, Any], options: Mapping[str, Any]) -> None:
    """A build that has no code for the GPU does not run there, whatever the memory."""
    version, build = options.get("vllm_version", ""), options.get("vllm_build", "")
    found = compatibility.problems(version, build, gpu=row["gpu"])
    if found:
        row.update(fits=False, reason="; ".join(found))


def _gpus(options: Mapping[str, Any]) -> tuple[Gpu, int]:
    name, count = str(options["gpu"]), int(options["gpu_count"])
    gpu = gpus.find(name)
    if gpu is not None:
        given = engine_args.plain(options["vllm_args"])
        asked = [
            int(given.get(key) or 1) for key in ("tensor_parallel_size", "pipeline_parallel_size")
        ]
        return gpu, count or asked[0] * asked[1]
    found = machine_types.named_gpus(name, options["accelerators"])
    if found is None:
        known = [*gpus.GPUS, *machine_types.BUNDLED, "cpu"]
        raise UnknownGpuError(
            f"The tables of accelerator types and of machine types with GPUs have no '{name}'. "
            "The plan can't tell what fits."
            f"{did_you_mean(name, known)} Known accelerator types: {', '.join(gpus.GPUS)}."
        )
    gpu = gpus.find(found[0])
    if gpu is None:
        raise UnknownGpuError(
            f"{found[0]} is not in the table of GPUs, which are: {', '.join(gpus.GPUS)}."
        )
    return gpu, count or found[1]


def _here(
    shape: Shape,
    options: Mapping[str, Any],
    found: tuple[Gpu, int],
    *,
    workload: fit.Workload,
    size: int | None,
    release: str,
) -> dict[str, Any] | None:
    """What fits on the very GPUs that were asked for, with more of them; None if nothing does."""
    given = engine_args.plain(options["vllm_args"])
    used = int(given.get("tensor_parallel_size") or 1) * int(
        given.get("pipeline_parallel_size") or 1
    )
    gpu, number = found
    if used >= number:
        return None
    row = machine_choice.best(
        shape,
        {key: value for key, value in given.items() if key != "tensor_parallel_size"},
        gpu,
        number,
        workload=workload,
        file_bytes=size,
        release=release,
    )
    _refuse_build(row, options)
    return row if row["fits"] is not False and row["tensor_parallel_size"] > used else None


def _what_would(machines: list[dict[str, Any]], here: Mapping[str, Any] | None, asked: str) -> str:
    """What to do instead: more of the same machine's GPUs first, then other machine types."""
    first = ""
    if here is not None:
        would = "it would fit" if here["fits"] else "it may fit (it can't be told)"
        first = f". Set tensor_parallel_size: {here['tensor_parallel_size']}: then {would} here"
    others = [row for row in machines if row["machine_type"] != asked or here is None]
    fitting = [row for row in others if row["fits"] is True][:3]
    if fitting:
        also = "It would also fit on " if first else "It would fit on "
        return f"{first}. {also}" + ", ".join(_row(row) for row in fitting)
    unknown = [row for row in others if row["fits"] is None][:3]
    if unknown:
        return f"{first}. It can't be told of " + ", ".join(_row(row) for row in unknown)
    return first or ". No machine type with these arguments"


def _row(row: Mapping[str, Any]) -> str:
    price = row["price_per_hour"]
    sold = row.get("sold_as") or []
    only = "" if not sold or "STANDARD" in sold else f", only as {' or '.join(sold)}"
    way = " on Spot" if row.get("price_model") == "SPOT" else ""
    split = row["tensor_parallel_size"]
    return (
        str(row["machine_type"])
        + (f" with tensor_parallel_size {split}" if split > 1 else "")
        + (f" ({price:.2f} USD/h{way}{_each(row)}{only})" if price is not None else "")
        + ("" if price is not None else f" (price unknown{only})")
    )


def _each(row: Mapping[str, Any]) -> str:
    """A million generated tokens' price, where it is known at all."""
    between = row["price_range_per_million_tokens"]
    if not between:
        return ""
    low, high = between
    said = f"{low:.2f}" if low == high else f"{low:.2f} to {high:.2f}, an estimate"
    return f"; a million tokens {said}"


def _when_serving(per_gpu: Mapping[str, int] | None) -> list[str]:
    if per_gpu is None:
        return []
    used, total = (per_gpu[name] for name in ("used_when_serving_bytes", "memory_bytes"))
    return [f"used when serving about {gib(used)} of {gib(total)} on each GPU"]


def _when_loaded(found: Mapping[str, Any]) -> list[str]:
    """What a model that loads at all holds; one that does not has no length to speak of."""
    if not found["max_model_len"]:
        return []
    return [
        f"max_model_len {found['max_model_len']}, {found['max_concurrency']} requests of that "
        "length at once",
        *_when_serving(found["per_gpu"]),
    ]


def lines(found: Mapping[str, Any]) -> list[str]:
    """A plan in words."""
    said = {True: "fits", False: "does not fit", None: "can't be told"}[found["fits"]]
    where = f"{found['gpus']} x {found['gpu']}" if found["gpu"] else "a CPU"
    tokens, state = found["kv_bytes_per_token"], found.get("state_bytes_per_sequence")
    rows = found["machine_types"][:SHOWN_MACHINE_TYPES]
    says = {True: "fits on", None: "may fit, which can't be told, on"}
    return [
        f"{found['model']} on {where}: {said}",
        found["reason"],
        f"weights {gib(found['weights_bytes'])}, KV cache {tokens} bytes a token"
        + (f", {state} bytes of state a request" if state else "")
        + (f", {found['kv_tokens']} tokens" if found["max_model_len"] else ""),
        *_when_loaded(found),
        f"engine arguments: {found['vllm_args']}",
        *(f"{says[row['fits']]} {_row(row)}" for row in rows if row["fits"] is not False),
    ]
