# SPDX-License-Identifier: Apache-2.0
"""One API call on its way to a handler, and the registry of handlers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from emulator.errors import Json, not_found
from emulator.faults.faults import OperationFaultError
from emulator.world.references import Ref
from emulator.world.world import World


@dataclass
class Call:
    """A validated request.

    Attributes:
        params: typed path and query parameters.
        body: without nulls and read-only fields; `{}` without a body.
    """

    world: World
    method: str
    params: dict[str, Any]
    body: Json
    user: str

    @property
    def project(self) -> str:
        """The project's id."""
        return str(self.params["project"])

    @property
    def zone(self) -> str:
        """The zone's name."""
        return str(self.params["zone"])

    @property
    def scope(self) -> str:
        """`zones/Z`, `regions/R` or `global`."""
        for kind in ("zone", "region"):
            if kind in self.params:
                return f"{kind}s/{self.params[kind]}"
        return "global"

    def ref(self, collection: str, name: str) -> Ref:
        """A resource in the call's scope; `name` may be its numeric id."""
        ref = Ref(self.project, self.scope, collection, name)
        if name[:1].isdigit():
            for item in self.world.items(collection, self.project, self.scope):
                if item.get("id") == name:
                    return Ref(self.project, self.scope, collection, item["name"])
        return ref

    def begin(self, kind: str, ref: Ref, target: Json | None, work: Callable[[], None]) -> Json:
        """Begins an operation on a resource of the call's scope.

        Raises:
            OperationFaultError: a fault rule wants it to fail.
        """
        failure = self.world.faults.operation(kind, ref.path)
        if failure is not None:
            raise OperationFaultError(kind, ref.path, (target or {}).get("id"), failure)
        return self.world.operations.begin(
            kind,
            ref.path,
            project=self.project,
            scope=self.scope,
            user=self.user,
            work=work,
            target_id=(target or {}).get("id"),
        )

    def check_scope(self) -> None:
        """Whether the zone or region exists.

        Raises:
            ApiError: 404.
        """
        for kind in ("zone", "region"):
            name = self.params.get(kind)
            if name is not None and name != "-":
                path = f"projects/{self.project}/{kind}s/{name}"
                if self.world.find(Ref(self.project, "global", f"{kind}s", name)) is None:
                    raise not_found(path)


Handler = Callable[[Call], Any]
HANDLERS: dict[str, Handler] = {}


def handles(*methods: str) -> Callable[[Handler], Handler]:
    """Registers a handler for methods, given without `compute.`."""

    def register(handler: Handler) -> Handler:
        for method in methods:
            HANDLERS[f"compute.{method}"] = handler
        return handler

    return register
