# SPDX-License-Identifier: Apache-2.0
"""What the server knows of its model once that is loaded, for limits that follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

#: A body of text: far more than a request may ask at once, and small beside a picture.
TEXT_BYTES = 4 * 2**20
#: In JSON a token takes up to so many bytes, where one of its characters is escaped.
BYTES_PER_TOKEN = 8
#: A file of 25 MiB, as OpenAI takes it, also as base64 in JSON, with what is around it.
MEDIA_BYTES = 35 * 2**20
#: Tokens of all prompts of one request, as OpenAI takes them for embeddings.
TOKEN_IDS = 300_000


@dataclass(frozen=True)
class ModelFacts:
    """One model's."""

    #: Tokens of prompt and answer together; 0 is not known.
    context: int = 0
    #: Whether it takes pictures, sound or video.
    media: bool = True
    #: Characters of the longest token; 0 is not known.
    longest_token: int = 0
    #: The fields that each path knows.
    fields: Mapping[str, frozenset[str]] = field(default_factory=dict)
    #: What the body of each path is checked by.
    models: Mapping[str, Any] = field(default_factory=dict)

    @property
    def body_bytes(self) -> int:
        """How large a body may be where nobody said it."""
        return MEDIA_BYTES if self.media else max(TEXT_BYTES, BYTES_PER_TOKEN * self.context)

    @property
    def token_ids(self) -> int:
        """How many token ids a body may have."""
        return max(TOKEN_IDS, self.context)


def facts_of(client: Any, app: Any, tasks: tuple[str, ...]) -> ModelFacts:
    """Reads them off vLLM's client and app."""
    config = client.model_config
    tokenizer = getattr(client, "tokenizer", None)
    return ModelFacts(
        context=int(config.max_model_len),
        media=bool(getattr(config, "is_multimodal_model", True)) or "transcription" in tasks,
        longest_token=int(getattr(tokenizer, "max_chars_per_token", 0)),
        fields=fields_of(app),
        models=models_of(app),
    )


def fields_of(app: Any) -> dict[str, frozenset[str]]:
    """The names of the fields of each path's body, and those that stand for them."""
    found: dict[str, frozenset[str]] = {}
    for path, annotation in models_of(app).items():
        names: set[Any] = set()
        for model in _models(annotation):
            for name, info in model.model_fields.items():
                names |= {name, info.alias, info.validation_alias}
        found[path] = frozenset(name for name in names if isinstance(name, str))
    return found


def models_of(app: Any) -> dict[str, Any]:
    """What the body of each path is checked by."""
    found: dict[str, Any] = {}
    for route in getattr(app, "routes", ()):
        params = list(getattr(getattr(route, "dependant", None), "body_params", ()))
        annotations = [param.field_info.annotation for param in params]
        if len(annotations) == 1 and _models(annotations[0]):
            found[route.path] = annotations[0]
    return found


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models(part)]
