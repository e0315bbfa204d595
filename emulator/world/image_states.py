# SPDX-License-Identifier: Apache-2.0
"""Public images that Google deprecates or takes away while the emulator runs."""

from __future__ import annotations

from emulator.errors import Json, invalid
from emulator.world import catalog
from emulator.world import catalog_data as data
from emulator.world.references import link
from emulator.world.storage import Store

STATES = ("ACTIVE", "DEPRECATED", "OBSOLETE", "DELETED", "GONE")
_KEY = "image-states"


class ImageStates:
    """What became of the images of a family, for all projects that use them."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def put(self, project: str, family: str, state: object, replacement: object) -> None:
        """Put every image of a family into a state; `ACTIVE` is as the catalog has them.

        Args:
            replacement: name of an image of the project that its images name as their successor.

        Raises:
            ApiError: 400 where there is no such family or state.
        """
        families = sorted({image.family for image in data.IMAGES if image.project == project})
        if family not in families:
            raise invalid("family", family, f"It must be one of {', '.join(families)}.")
        if state not in STATES:
            raise invalid("state", state, f"It must be one of {', '.join(STATES)}.")
        if replacement is not None and not isinstance(replacement, str):
            raise invalid("replacement", replacement, "It must be the name of an image.")
        with self.store.transaction():
            kept = {**self.store.setting(_KEY, {})}
            kept[f"{project}/{family}"] = {"state": state, "replacement": replacement}
            self.store.put_setting(_KEY, kept)

    def clear(self) -> None:
        """All as the catalog has them."""
        with self.store.transaction():
            self.store.put_setting(_KEY, None)

    def seen(self, project: str, image: Json) -> Json | None:
        """An image of the catalog as it is now; None where it is gone."""
        now = self.store.setting(_KEY, {}).get(f"{project}/{image['family']}")
        if now is None or now["state"] == "ACTIVE":
            return image
        if now["state"] == "GONE":
            return None
        deprecated = {"state": now["state"]}
        if now["replacement"]:
            path = f"projects/{project}/global/images/{now['replacement']}"
            deprecated["replacement"] = link(path)
        return {**image, "deprecated": deprecated}

    def all(self, project: str) -> list[Json]:
        """The images of a project."""
        found = (self.seen(project, one) for one in catalog.items("images", project, "global"))
        return [one for one in found if one is not None]

    def family(self, project: str, name: str) -> Json | None:
        """The newest image of a family that is not deprecated."""
        return catalog.family(project, name, self.all(project))
