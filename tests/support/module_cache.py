# SPDX-License-Identifier: Apache-2.0
"""Modules as Ansible packs them for a host, kept on disk, and with Python's compiled code in them.

Each run of Ansible packs each module again, and each task's Python on the host compiles all of what
is packed, which it reads byte by byte from its standard input: of a task's time there, half.
Python falls back to the source, which stays in the package, where it is not the one that compiled.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import importlib.util
import io
import marshal
import os
import shlex
import shutil
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.executor import module_common
from ansible.plugins.shell import ShellBase

ROOT = Path(__file__).resolve().parents[2]
#: Where all runs of tests keep them.
FOLDER = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gce-vllm/modules"
VERSIONS = (sys.version, version("ansible-core"))
# Of others nothing here tells when they change.
OURS = (Path(module_common.__file__).resolve().parents[1] / "modules", ROOT / "plugins" / "modules")
# Python's: made from a source of this checksum, which need not be looked at.
UNCHECKED = (1).to_bytes(4, "little")
KEPT = 3
# What is piped to Python is its program, as without this.
WHOLE = 'import sys; exec(compile(sys.stdin.buffer.read(), "<stdin>", "exec"))'


def install(folder: Path = FOLDER) -> None:
    """Have this process, and those that it forks, pack only what is not in `folder` yet."""
    place = _place(folder)
    dump, find = module_common._CachedModule.dump, module_common._find_module_utils
    command = ShellBase.build_module_command
    kept: list[Path] = []

    def compiled_dump(self: Any, path: str) -> None:
        dump(dataclasses.replace(self, zip_data=with_code(self.zip_data)), path)
        for file in kept:
            _copy(Path(path), file)

    def cached_find(**named: Any) -> Any:
        module = Path(named["module_path"]).resolve()
        if module.parent not in OURS:
            return find(**named)
        name = module_common._get_ansible_module_fqn(named["module_path"])
        file = f"{name}-{named['module_compression']}-none"
        known = Path(constants.DEFAULT_LOCAL_TMP) / "ansiballz_cache" / file
        if not known.exists():
            known.parent.mkdir(parents=True, exist_ok=True)
            _copy(place / file, known)
        kept[:] = [place / file]
        try:
            return find(**named)
        finally:
            kept.clear()

    def whole_command(self: Any, env: str, shebang: str, cmd: str, arg_path: Any = None) -> Any:
        piped = not cmd and "python" in (shebang or "")
        made = command(self, env, shebang, cmd, arg_path)
        return f"{made} -c {shlex.quote(WHOLE)}" if piped else made

    ShellBase.build_module_command = whole_command
    module_common._CachedModule.dump = compiled_dump
    module_common._find_module_utils = cached_find


def _copy(source: Path, target: Path) -> None:
    """Copy what is there, to where others may look for it meanwhile."""
    fresh = target.with_name(f"{target.name}.{os.getpid()}")
    # Where it comes from may be emptied by a run that knows newer modules.
    with contextlib.suppress(FileNotFoundError):
        shutil.copyfile(source, fresh)
        fresh.rename(target)


def with_code(zip_data: bytes) -> bytes:
    """A package, and in it beside each source what Python makes of it."""
    given = zipfile.ZipFile(io.BytesIO(base64.b64decode(zip_data)))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as made:
        for one in given.infolist():
            source = given.read(one)
            made.writestr(one, source)
            if one.filename.endswith(".py"):
                compiled = zipfile.ZipInfo(f"{one.filename}c", one.date_time)
                compiled.compress_type = zipfile.ZIP_DEFLATED
                made.writestr(compiled, _compiled(one.filename, source))
    return base64.b64encode(packed.getvalue())


def _compiled(name: str, source: bytes) -> bytes:
    # Ansible finds out from a path which collection's code it is.
    code = marshal.dumps(compile(source, f"/packed/{name}", "exec", dont_inherit=True, optimize=0))
    return importlib.util.MAGIC_NUMBER + UNCHECKED + importlib.util.source_hash(source) + code


def _place(folder: Path) -> Path:
    """The part of the folder for the collection as it is; of older ones a few stay."""
    seen = [
        (str(file.relative_to(ROOT)), file.stat().st_mtime_ns, file.stat().st_size)
        for kind in ("modules", "module_utils")
        for file in sorted((ROOT / "plugins" / kind).rglob("*.py"))
    ]
    facts = repr((VERSIONS, seen)).encode()
    place = folder / hashlib.sha256(facts).hexdigest()
    place.mkdir(parents=True, exist_ok=True)
    os.utime(place)
    for old in sorted(folder.iterdir(), key=_age)[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
    return place


def _age(path: Path) -> float:
    with contextlib.suppress(FileNotFoundError):
        return -path.stat().st_mtime
    return 0
