#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module llmops.gce_vllm.vllm_plan."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vllm_plan
short_description: Whether a model fits on a GPU under vLLM, with which lengths, and where else
version_added: 0.2.0
description:
  - Reads a model's C(config.json) and the sizes of its tensors, and adds up what vLLM takes of a
    GPU's memory. That is weights, the largest step's activations, CUDA graphs and libraries. The
    rest is for the KV cache, and the module says what it holds.
  - Asks nobody but the place where the model lies, and fetches no weights.
  - If something that is not counted may change the answer, C(fits) is null and C(not_counted) names
    it. Examples are adapters, a draft model, an encoder for images, and an unknown layer type or
    key of C(config.json). Files whose sizes do not match the shape are another.
author:
  - gce-vllm maintainers (@llmops)
options:
  model:
    description: A folder, a repository of the Hugging Face hub (C(OWNER/NAME)), a Cloud Storage
      folder (C(gs://BUCKET/FOLDER)), or a mirror's (C(https://HOST/FOLDER)).
    type: str
    required: true
  revision:
    description: Branch, tag or commit of the hub's repository.
    type: str
    default: main
  token:
    description: Access token of the hub, for gated and private models.
    type: str
    default: ""
  hub:
    description: Address of the hub, or of a mirror that answers like it.
    type: str
    default: https://huggingface.co
  storage:
    description: Address of Cloud Storage.
    type: str
    default: https://storage.googleapis.com
  service_account_file:
    description: Key file for a C(gs://) model; empty for application default credentials, or none.
    type: str
    default: ""
  gpu:
    description: A machine type (C(g2-standard-8)), an accelerator type (C(nvidia-h100-80gb)), or
      C(cpu). With an accelerator type there are as many GPUs as O(gpu_count) says.
    type: str
    required: true
  gpu_count:
    description: How many GPUs there are; 0 for the machine type's, and of an accelerator type as
      many as the engine arguments ask for.
    type: int
    default: 0
  accelerators:
    description: GPUs that are attached to an N1 machine type.
    type: list
    elements: dict
    default: []
    suboptions:
      type:
        description: Accelerator type.
        type: str
        required: true
      count:
        description: How many of them.
        type: int
        default: 1
  machine_type:
    description: With O(gpu=cpu), the machine type in whose memory it is to fit. Without one that
      the table knows, C(fits) is null.
    type: str
    default: ""
  vllm_args:
    description: vLLM's engine arguments, as for C(llm_server_vllm_args).
    type: dict
    default: {}
  context:
    description: Tokens of one request, prompt and answer; 0 where nothing is asked.
    type: int
    default: 0
  concurrency:
    description: Requests of that length at once; 0 where nothing is asked.
    type: int
    default: 0
  cpu_kv_cache_gib:
    description: With O(gpu=cpu), what C(VLLM_CPU_KVCACHE_SPACE) gives the KV cache.
    type: int
    default: 4
  vllm_version:
    description: Release of vLLM that is to run, whose architectures, quantisation methods and build
      count; empty leaves the build out of the plan, and takes the newest release for the rest.
    type: str
    default: ""
  vllm_build:
    description: Its build (C(cu130)). One that has no code for the GPU does not fit.
    type: str
    default: ""
  region:
    description: Region of the prices.
    type: str
    default: us-central1
  missing_ok:
    description: Gives a warning and C(fits) null, instead of failing, for a model that can't be
      read or an unknown GPU. If a hub or mirror answers that the model does not exist or access is
      denied, the module fails. The same would happen on the host.
    type: bool
    default: false
attributes:
  check_mode:
    description: Can run in C(check_mode). This module only reads.
    support: full
  diff_mode:
    description: This module only reads, so that there is never a difference to show.
    support: full
"""

EXAMPLES = r"""
- name: Plan a model on one H100
  llmops.gce_vllm.vllm_plan:
    model: meta-llama/Llama-3.1-8B-Instruct
    gpu: a3-highgpu-1g
    vllm_args: {max_model_len: 32768}
    context: 4096
    concurrency: 64
  register: plan
"""

RETURN = r"""
plan:
  description: The plan.
  returned: success
  type: dict
  contains:
    fits:
      description: Whether vLLM starts with these arguments and carries the workload, with a margin
        for safety; null where it can't be told.
      type: bool
    reason:
      description: What takes the memory, or why it does not fit and what would.
      type: str
    weights_bytes:
      description: Bytes of all weights once loaded on one GPU (on more, C(per_gpu) has each one's).
      type: int
    download_bytes:
      description: Bytes of the checkpoint's tensors, as its files have them.
      type: int
    kv_bytes_per_token:
      description: Bytes of one token's keys and values over all layers, windows not considered.
      type: int
    state_bytes_per_sequence:
      description: Bytes that layers without attention keep for each request; absent on a CPU.
      type: int
    kv_tokens:
      description: Tokens that the KV cache is expected to hold, as vLLM logs it.
      type: int
    max_model_len:
      description: The length to use - the given or the model's own, or the longest that fits.
      type: int
    max_concurrency:
      description: Requests of that length that are expected to fit at once.
      type: float
    max_num_seqs:
      description: Requests that the engine runs at once at most; absent on a CPU.
      type: int
    vllm_args:
      description: The engine arguments to use; the given ones, and what it takes to fit.
      type: dict
    per_gpu:
      description: Bytes on one GPU, by what takes them; null where nothing was added up.
        C(used_when_serving_bytes) is what nvidia-smi is expected to show as used, to 5 %.
      type: dict
    not_counted:
      description: What takes memory that is not counted.
      type: list
      elements: str
    machine_types:
      description: Machine types, those that fit first and the cheapest first. Each has C(fits),
        C(reason), C(gpu), C(gpus), C(tensor_parallel_size), C(max_model_len), C(max_concurrency)
        and C(kv_tokens). C(price_per_hour) and C(price_per_million_tokens) are USD, null where
        unknown. C(price_range_per_million_tokens) has the lower and upper end. C(price_model) is
        V(STANDARD), or V(SPOT) where the machine type is not sold on demand. C(sold_as) has the
        provisioning models in which Google sells it. C(throughput_basis) says for which load the
        throughput was measured, or that data sheets gave an estimate.
      type: list
      elements: dict
lines:
  description: The same for people.
  returned: success
  type: list
  elements: str
"""

from functools import partial
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.gce.bucket_session import bucket_session
from ..module_utils.model import files as model_files
from ..module_utils.model.files import RefusedError, SourceError
from ..module_utils.model.shape import ShapeError, UnreadableError
from ..module_utils.reports import plan as plan_report
from ..module_utils.vllm.engine_args import ArgumentError


def arguments() -> dict[str, Any]:
    """The module's options."""
    gpu = {"type": {"type": "str", "required": True}, "count": {"type": "int", "default": 1}}
    return {
        "model": {"type": "str", "required": True},
        "revision": {"type": "str", "default": "main"},
        "token": {"type": "str", "default": "", "no_log": True},
        "hub": {"type": "str", "default": "https://huggingface.co"},
        "storage": {"type": "str", "default": "https://storage.googleapis.com"},
        "service_account_file": {"type": "str", "default": ""},
        "gpu": {"type": "str", "required": True},
        "gpu_count": {"type": "int", "default": 0},
        "accelerators": {"type": "list", "elements": "dict", "default": [], "options": gpu},
        "machine_type": {"type": "str", "default": ""},
        "vllm_args": {"type": "dict", "default": {}},
        "context": {"type": "int", "default": 0},
        "concurrency": {"type": "int", "default": 0},
        "cpu_kv_cache_gib": {"type": "int", "default": 4},
        "vllm_version": {"type": "str", "default": ""},
        "vllm_build": {"type": "str", "default": ""},
        "region": {"type": "str", "default": "us-central1"},
        "missing_ok": {"type": "bool", "default": False},
    }


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=arguments(), supports_check_mode=True)
    params = module.params
    try:
        files = model_files.locate(
            params["model"],
            revision=params["revision"],
            token=params["token"],
            hub=params["hub"],
            storage=params["storage"],
            bucket_session=partial(bucket_session, params["service_account_file"]),
        )
        config = model_files.config(files)
        plan = plan_report.plan(params, config, files)
    except RefusedError as error:
        module.fail_json(msg=str(error))
    except (SourceError, ShapeError, plan_report.UnknownGpuError) as error:
        # A field in a form that is not read leaves the question open; what is missing is an error.
        if not params["missing_ok"] and not isinstance(error, UnreadableError):
            module.fail_json(msg=str(error))
        module.warn(f"Whether the model fits was not checked: {error}")
        module.exit_json(
            changed=False,
            plan={"fits": None, "reason": str(error)},
            lines=[f"can't be told: {error}"],
        )
    except (ArgumentError, plan_report.PlanError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, plan=plan, lines=plan_report.lines(plan))


if __name__ == "__main__":
    main()
