# SPDX-License-Identifier: Apache-2.0
"""The server's settings: one YAML file, every field checked before anything starts."""

from __future__ import annotations

import difflib
import ipaddress
import os
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from .access import Access, load_access
from .errors import ConfigError

#: vLLM options that this server sets itself, with the setting that takes their place.
OWNED_BY_SERVER = {
    "model": "model_path",
    "served_model_name": "served_model_name",
    "host": "host",
    "port": "port",
    "uds": "host and port",
    "api_key": "access_file",
    "uvicorn_log_level": "log_level",
    "shutdown_timeout": "shutdown_timeout",
    "root_path": None,
    "config": None,
    "headless": None,
    "api_server_count": None,
    "grpc": None,
    "grpc_port": None,
}

#: vLLM options that would be read and then ignored, with what does their work here.
NO_EFFECT = {
    **dict.fromkeys(
        (
            "ssl_keyfile",
            "ssl_certfile",
            "ssl_ca_certs",
            "ssl_cert_reqs",
            "ssl_ciphers",
            "enable_ssl_refresh",
        ),
        "this server speaks plain HTTP; end TLS in a proxy in front of it",
    ),
    **dict.fromkeys(
        ("h11_max_incomplete_event_size", "h11_max_header_count"),
        "this server bounds the head of a request itself",
    ),
    **dict.fromkeys(
        ("disable_uvicorn_access_log", "disable_access_log_for_endpoints"),
        "this server writes one line for each request itself and uvicorn writes none",
    ),
}

#: Options that older guides name, with what does their work today.
SUCCESSORS = {
    "swap_space": "kv_offloading_size (GiB of host memory for the KV cache)",
    "use_v2_block_manager": "nothing: it is always on",
    "disable_log_requests": "enable_log_requests: false",
    "guided_decoding_backend": "structured_outputs_config",
}

#: Switches of vLLM's environment that would undo what this server promises, and why.
REFUSED_SWITCHES = {
    "VLLM_ENABLE_RESPONSES_API_STORE": (
        "vLLM would keep every answer for ever, show it to each key that names its id, and work in"
        " the background beyond all limits and past the end of the server; take it out of the"
        " environment (llm_server_environment)"
    ),
}

#: vLLM options that do the same where they are on, and why.
REFUSED_IF_ON = {
    "disable_log_stats": (
        "a step at a long prompt would give no sign of life, and the watchdog would restart a"
        " server that works; /metrics would say nothing of the engine. Leave it out"
    ),
}

#: A value of `vllm_args`: what YAML can say and a command line can carry.
ArgValue = bool | int | float | str | list[Any] | dict[str, Any] | None


class Settings(BaseModel):
    """All of settings.yaml; a key that is not named here is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field("127.0.0.1", min_length=1)
    port: int = Field(8000, ge=1, le=65535, strict=True)
    model_path: str = Field(min_length=1)
    served_model_name: str = Field(min_length=1)
    api_key_required: bool = Field(True, strict=True)
    #: Keys and limits: the one file that SIGHUP reads anew; see `access.Access`.
    access_file: Path | None = None
    vllm_args: dict[str, ArgValue] = Field(default_factory=dict)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    #: Seconds that running requests get to finish after SIGTERM.
    shutdown_timeout: float = Field(30, ge=0, le=3600)
    #: Seconds without a token, while requests wait for one, after which the engine counts as stuck.
    stall_timeout: float = Field(120, ge=1, le=3600)
    #: Whether what is asked is logged with each request; it may hold secrets.
    log_content: bool = Field(False, strict=True)
    #: Addresses or networks of proxies whose X-Forwarded-For names the client.
    trusted_proxies: tuple[str, ...] = ()
    #: How the engine's process begins; see `engine.choose_start_method`.
    start_method: Literal["auto", "fork", "spawn"] = "auto"
    #: Requests in the burst before the server says that it is ready; unset: by the device.
    warm_up_requests: int | None = Field(None, ge=0, le=1024, strict=True)
    #: Seconds that the burst may take at most.
    warm_up_timeout: float = Field(60, gt=0, le=600)

    @field_validator("model_path")
    @classmethod
    def _model_exists(cls, value: str) -> str:
        path = Path(value)
        if path.is_absolute() and not (path / "config.json").is_file():
            state = "has no config.json" if path.is_dir() else "does not exist"
            raise ValueError(f"the folder {value} {state}; name a folder that holds a model")
        return value

    @field_validator("vllm_args")
    @classmethod
    def _not_owned(cls, value: dict[str, ArgValue]) -> dict[str, ArgValue]:
        problems = []
        for name, given in value.items():
            key = normalise(name)
            if key in REFUSED_IF_ON and given is True:
                problems.append(f"{name} cannot be on: {REFUSED_IF_ON[key]}")
            elif key in SUCCESSORS:
                problems.append(f"{name} was removed from vLLM; its successor is {SUCCESSORS[key]}")
            elif key in NO_EFFECT:
                problems.append(f"{name} would have no effect: {NO_EFFECT[key]}")
            elif key in OWNED_BY_SERVER:
                setting = OWNED_BY_SERVER[key]
                problems.append(
                    f"{name} is set by this server"
                    + (f"; use the setting {setting}" if setting else " and cannot be changed")
                )
        if problems:
            raise ValueError(" | ".join(problems))
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            try:
                ipaddress.ip_network(each)
            except ValueError:
                raise ValueError(
                    f"{each} is no address and no network; write 10.0.0.5 or 10.0.0.0/24"
                ) from None
        return value

    @property
    def enforce_eager(self) -> bool:
        """Whether nothing shall be compiled, by vLLM's option of that name."""
        return any(
            value is True
            for name, value in self.vllm_args.items()
            if normalise(name) == "enforce_eager"
        )

    @model_validator(mode="after")
    def _has_keys(self) -> Settings:
        if self.api_key_required and self.access_file is None:
            raise ValueError(
                "access_file: not set; name a file with keys, or say api_key_required: false"
            )
        return self


def normalise(name: str) -> str:
    """The underscore form of an option's name, however it was written."""
    return name.removeprefix("--").replace("-", "_")


def load_settings(path: Path) -> Settings:
    """Reads and checks the settings file.

    Raises:
        ConfigError: with one message for each wrong field.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" (line {where.line + 1})" if where else ""
        raise ConfigError([f"{path}: is not valid YAML{line}"]) from None
    if not isinstance(data, dict):
        raise ConfigError([f"{path}: must be a mapping of settings, found {type(data).__name__}"])
    try:
        settings = Settings.model_validate(data)
    except ValidationError as error:
        raise ConfigError(list(_messages(error))) from None
    switched = [name for name in REFUSED_SWITCHES if os.environ.get(name, "0") not in ("", "0")]
    if switched:
        raise ConfigError([f"{name}: {REFUSED_SWITCHES[name]}" for name in switched])
    return settings


def read_access(settings: Settings) -> Access:
    """Keys and limits as the settings name their file; the defaults where they name none.

    Raises:
        ConfigError: see `load_access`.
    """
    if settings.access_file is None:
        return Access()
    if runtime := os.environ.get("RUNTIME_DIRECTORY"):
        # Touched before the reading: a file that is newer than this has not been read.
        (Path(runtime) / "access_read").touch()
    return load_access(settings.access_file, keys_needed=settings.api_key_required)


def _messages(error: ValidationError) -> list[str]:
    lines = []
    for item in error.errors(include_url=False):
        field = str(item["loc"][0]) if item["loc"] else ""
        if item["type"] == "extra_forbidden":
            close = difflib.get_close_matches(field, Settings.model_fields, n=1)
            hint = f"did you mean {close[0]}?" if close else "drop it"
            lines.append(f"{field}: no such setting; {hint}")
        elif item["type"] == "missing":
            lines.append(f"{field}: must be set")
        elif item["type"] == "value_error":
            reasons = str(item["ctx"]["error"]).split(" | ")
            lines.extend(f"{field}: {reason}" if field else reason for reason in reasons)
        elif field == "vllm_args" and len(item["loc"]) > 1:
            line = f"vllm_args: {item['loc'][1]}: must be a number, text, list or mapping"
            if line not in lines:
                lines.append(line)
        else:
            lines.append(f"{field}: {item['msg']} (found {item['input']!r})")
    return lines
