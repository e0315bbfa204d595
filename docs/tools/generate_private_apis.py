# SPDX-License-Identifier: Apache-2.0
"""Writes docs/private-apis.md: what the server uses that nobody promised to keep.

    python docs/tools/generate_private_apis.py [--check]

vLLM's names come from `llm_server.vllm_names`, those of others from the table below.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path("docs") / "private-apis.md"
sys.path[:0] = [str(ROOT), str(ROOT / "files")]

from llm_server.vllm_api.names import NAMES, Name, Use  # noqa: E402

from docs.tools import generated_files  # noqa: E402

#: By what each kind of vLLM's names is guarded, beside `tests/vllm_release`, which looks at all.
GUARDS = {
    Use.SERVE: "tests/integration/server/test_llm_server.py",
    Use.FAST: "tests/unit/llm_server/test_vllm_names.py, tests/unit/llm_server/test_start.py",
    Use.COUNT: "tests/integration/server/test_vllm_names.py, tests/unit/llm_server/test_meter.py",
}

#: Whose, what, what for, where without it, the test.
OTHERS = (
    (
        "ansible-core",
        "of `module_utils._internal` `is_controller`, `get_controller_serialize_map`,"
        " `import_controller_module`, `_traceback._is_traceback_enabled`, the exceptions of"
        " `_ansiballz._loader`; `basic._ANSIBLE_ARGS`; `executor.module_common._BuiltModule`; of an"
        " action `_configure_module`, `_is_pipelining_enabled`, `_low_level_execute_command`",
        "modules on the controller run in a fork of their task's worker",
        "they are packed and started as Ansible does it",
        "tests/integration/modules/test_direct_execution.py",
    ),
    (
        "ansible-core",
        "`_internal._templating._jinja_bits.AnsibleEnvironment` and `_TemplateCompileContext`; of"
        " Jinja `Environment.compile` and `compile_expression`",
        "the tests' playbook runs compile a template once for all",
        "only tests use it",
        "tests/unit/test_template_cache.py",
    ),
    (
        "ansible-core",
        "of `executor.module_common` `_CachedModule`, `_find_module_utils` and"
        " `_get_ansible_module_fqn`",
        "the tests' playbook runs pack and compile a module once for all",
        "only tests use it",
        "tests/unit/test_module_cache.py",
    ),
    (
        "torch",
        "`torch._dynamo.config.disable`",
        "a forked engine compiles nothing where `enforce_eager` is on",
        "the server starts plain",
        "tests/unit/llm_server/test_start.py",
    ),
    (
        "uvicorn",
        "`AutoHTTPProtocol`; of its protocols `cycle` (`more_body`, `response_complete`), `client`,"
        " `config.loaded_app`, `connections`, `loop`, `send_400_response`, `transport`,"
        " `timeout_keep_alive_task`",
        "slow and silent connections are bounded",
        "the lock holds its release",
        "tests/unit/llm_server/test_private_apis.py, tests/unit/llm_server/test_connections.py",
    ),
    (
        "uvicorn",
        "`Server.capture_signals`, `servers`, `server_state.connections`, `started`",
        "the service decides what a signal means, and when connections have ended",
        "the lock holds its release",
        "tests/unit/llm_server/test_private_apis.py, tests/unit/llm_server/test_server.py",
    ),
    (
        "asyncio",
        "`loop.remove_reader` on a server's listener",
        "the waiting room loses no connection when it closes",
        "a connection in that moment is lost",
        "tests/unit/llm_server/test_waiting_room.py",
    ),
)

HEAD = """<!-- Written by docs/tools/generate_private_apis.py from vllm_api/names.py -->
# What the server uses that nobody promised to keep

vLLM has no stable programming interface for a server around it. What is used of it is in one table,
`files/llm_server/vllm_api/names.py`. This page is written from it. Where a name is gone, or takes
other arguments:

- {serve}: the server says which name is missing, and ends.
- {fast}, as with `llm_server_start: plain`; one warning names what differs.
- {count}: see `vllm_api/client.py`.

`tests/vllm_release VERSION` compares all of them with a release that need not be installed, and
`tests/unit/llm_server/test_vllm_release.py` with what was found so in each release locked here.
`tests/unit/llm_server/test_vllm_names.py` sees that the server asks for no name beside the table.

## Of vLLM

| name | in | what it takes | without it | guarded by |
| --- | --- | --- | --- | --- |
"""

MIDDLE = """
A star marks a function that is replaced while the server starts. An argument that is new there
would be lost, so it counts as a difference. Of the rest, further arguments with a default are none.

## Of others

| of | name | what for | without it | guarded by |
| --- | --- | --- | --- | --- |
"""


def page() -> str:
    """The whole page."""
    head = HEAD.format(
        serve=f"*{Use.SERVE.value}*", fast=f"*{Use.FAST.value}*", count=f"*{Use.COUNT.value}*"
    )
    others = "".join(f"| {' | '.join(row)} |\n" for row in OTHERS)
    return head + "".join(map(_row, NAMES)) + MIDDLE + others


def _row(name: Name) -> str:
    takes = ", ".join((*(name.passes or ()), *(f"[{one}]" for one in name.knows)))
    cells = (
        f"`{name.path}`" + (" \\*" if name.replaced else ""),
        f"`{name.homes[0]}`",
        takes or ("nothing" if name.passes == () else "any"),
        name.use.value,
        GUARDS[name.use],
    )
    return f"| {' | '.join(cells)} |\n"


def main() -> int:
    """Write or check the page."""
    return generated_files.main("Writes docs/private-apis.md.", {TARGET: page()})


if __name__ == "__main__":
    sys.exit(main())
