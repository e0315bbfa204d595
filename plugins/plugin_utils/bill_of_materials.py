# SPDX-License-Identifier: Apache-2.0
"""A host's software as a CycloneDX document: the system, the driver, vLLM's environment, the model.

Needs cyclonedx-python-lib, which nothing else here does: it is imported when it is used.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

LIBRARY = "cyclonedx-python-lib"
#: A model's folder holds a few dozen files; more are no list for people.
MOST_FILES = 5000


def bill(host: Mapping[str, Any], manifest: Mapping[str, Any] | None) -> tuple[str, int]:
    """The document as JSON of CycloneDX 1.6, and how many components it has.

    Args:
        host: `host`, `versions` and `model`, as the report has them, and `packages`.
        manifest: the list of the model's files, as the role llm_model writes it.

    Raises:
        ImportError: the library is not there.
    """
    from cyclonedx.model.bom import Bom  # noqa: PLC0415 - see above
    from cyclonedx.model.component import Component, ComponentType  # noqa: PLC0415
    from cyclonedx.output.json import JsonV1Dot6  # noqa: PLC0415

    made = Bom()
    root = Component(
        name=host["host"] or "host", type=ComponentType.DEVICE, bom_ref=f"host:{host['host']}"
    )
    made.metadata.component = root
    components = [*_system(host["versions"]), *_packages(host["packages"])]
    model = _model(str(host.get("model") or ""), manifest)
    if model is not None:
        components.append(model)
    for one in components:
        made.components.add(one)
    made.register_dependency(root, components)
    return JsonV1Dot6(made).output_as_string(indent=1) + "\n", len(components)


def _system(versions: Mapping[str, Any]) -> Iterator[Any]:
    from cyclonedx.model.component import Component, ComponentType  # noqa: PLC0415

    for said, kind, name in (
        ("system", ComponentType.OPERATING_SYSTEM, None),
        ("kernel", ComponentType.PLATFORM, "linux"),
        ("Python", ComponentType.PLATFORM, "cpython"),
        ("NVIDIA driver", ComponentType.DEVICE_DRIVER, "nvidia"),
        ("server", ComponentType.APPLICATION, "llm_server"),
    ):
        version = versions.get(said)
        if version:
            system, _, number = str(version).partition(" ")
            yield Component(
                name=name or system,
                version=str(version) if name else number or None,
                type=kind,
                bom_ref=f"{kind.value}:{name or system}",
            )


def _packages(packages: Any) -> Iterator[Any]:
    from cyclonedx.contrib.license.factories import LicenseFactory  # noqa: PLC0415
    from cyclonedx.model.component import Component, ComponentType  # noqa: PLC0415
    from packageurl import PackageURL  # noqa: PLC0415

    licenses = LicenseFactory()
    for one in packages:
        address = PackageURL("pypi", None, one["name"], one["version"])
        yield Component(
            name=one["name"],
            version=one["version"],
            type=ComponentType.LIBRARY,
            purl=address,
            bom_ref=address.to_string(),
            licenses=[licenses.make_from_string(one["license"])] if one["license"] else None,
        )


def _model(name: str, manifest: Mapping[str, Any] | None) -> Any:
    """The model with the checksum of each file; None where neither is known."""
    from cyclonedx.model import HashAlgorithm, HashType  # noqa: PLC0415
    from cyclonedx.model.component import Component, ComponentType  # noqa: PLC0415

    if not name and not manifest:
        return None
    files = (manifest or {}).get("files")
    known = files.items() if isinstance(files, Mapping) else []
    within = [
        Component(
            name=str(file),
            type=ComponentType.FILE,
            bom_ref=f"model:{file}",
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=str(one["sha256"]))],
        )
        for file, one in list(known)[:MOST_FILES]
        if isinstance(one, Mapping) and one.get("sha256")
    ]
    return Component(
        name=name or "model",
        version=str((manifest or {}).get("resolved") or "") or None,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref="model",
        components=within,
    )


def manifest_of(text: str) -> dict[str, Any] | None:
    """A manifest's text; None where it is none."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
