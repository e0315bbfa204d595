# SPDX-License-Identifier: Apache-2.0
"""The server's settings: one YAML file, every field checked before anything starts."""

from __future__ import annotations

import difflib
import hashlib
import ipaddress
import os
import re
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from .errors import ConfigError
from .keys.access import Access, load_access
from .risks import REFUSED_IF_ON, refused_switches
from .transport.cors import Origins
from .transport.listener import KEEP_ALIVE_TIMEOUT_S
from .transport.tls import TlsFiles

#: vLLM options that this server sets itself, with the setting that takes their place.
OWNED_BY_SERVER = {
    "model": "model_path",
    "served_model_name": "served_model_name",
    "host": "host",
    "port": "port",
    "uds": "uds",
    "root_path": "root_path",
    **dict.fromkeys(
        ("ssl_keyfile", "ssl_certfile", "ssl_ca_certs", "ssl_cert_reqs", "ssl_ciphers"),
        "of the same name",
    ),
    "api_key": "access_file",
    "uvicorn_log_level": "log_level",
    "shutdown_timeout": "shutdown_timeout",
    "config": None,
    "headless": None,
    "api_server_count": None,
    "grpc": None,
    "grpc_port": None,
}

#: vLLM options that would be read and then ignored, with what does their work here.
NO_EFFECT = {
    "enable_ssl_refresh": "this server reads its certificate again when it gets SIGHUP",
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

#: Switches that this server would read past, with what does their work here.
IDLE_SWITCHES = {
    "VLLM_HTTP_TIMEOUT_KEEP_ALIVE": "the setting keep_alive_timeout (llm_server_keep_alive_timeout)"
}

#: The most that Linux takes, less the end of the text.
LONGEST_UDS = 107

#: Proxies end a connection that says nothing for a minute, some after half of that.
STREAM_KEEP_ALIVE_S = 15.0

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
    #: Keys and limits: the one file that SIGHUP reloads; see `access.Access`.
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
    #: `fast` replaces parts of vLLM's start to save time, `plain` leaves it to vLLM alone.
    start: Literal["fast", "plain"] = "fast"
    #: How the engine's process begins in a fast start; see `engine.choose_start_method`.
    start_method: Literal["auto", "fork", "spawn"] = "auto"
    #: Requests in the burst before the server says that it is ready; unset: by the device.
    warm_up_requests: int | None = Field(None, ge=0, le=1024, strict=True)
    #: Seconds that the burst may take at most.
    warm_up_timeout: float = Field(60, gt=0, le=600)
    #: Seconds for which a connection without a request is kept.
    keep_alive_timeout: int = Field(KEEP_ALIVE_TIMEOUT_S, ge=1, le=86400, strict=True)
    #: Where usage is kept, and for how many days; without a file it is forgotten at the end.
    ledger_file: Path | None = None
    ledger_days: int = Field(400, ge=32, le=3660, strict=True)
    #: A Unix socket to listen on instead of host and port.
    uds: Path | None = None
    #: The prefix under which a proxy shows this server, whether or not the proxy takes it off.
    root_path: str = ""
    #: TLS, by files in PEM form; see `tls.TlsFiles`. Without a certificate it is plain HTTP.
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None
    ssl_ca_certs: Path | None = None
    ssl_cert_reqs: int = Field(0, ge=0, le=2, strict=True)
    ssl_ciphers: str | None = None

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

    @field_validator("root_path")
    @classmethod
    def _is_prefix(cls, value: str) -> str:
        value = value.rstrip("/")
        if value and not re.fullmatch(r"(/[\w.~-]+)+", value):
            raise ValueError(f"must be a path such as /llm, found {value!r}")
        return value

    @field_validator("uds")
    @classmethod
    def _is_short(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_absolute():
            raise ValueError(f"must be an absolute path, found {str(value)!r}")
        if value is not None and len(os.fsencode(value)) > LONGEST_UDS:
            raise ValueError(f"a socket's path may have {LONGEST_UDS} bytes; name a shorter one")
        return value

    def _vllm_arg(self, wanted: str) -> ArgValue:
        """One of vLLM's options, however its name is written; None where it is not set."""
        found = [value for name, value in self.vllm_args.items() if normalise(name) == wanted]
        return found[-1] if found else None

    @cached_property
    def tls(self) -> TlsFiles | None:
        """The files of TLS; None is plain HTTP."""
        given = {name: getattr(self, name) for name in TlsFiles.model_fields}
        return TlsFiles.model_validate(given) if self.ssl_certfile else None

    @cached_property
    def origins(self) -> Origins:
        """Which pages of other sites may ask."""
        given = {name: self._vllm_arg(name) for name in Origins.model_fields}
        return Origins.model_validate({k: v for k, v in given.items() if v is not None})

    @property
    def stream_keep_alive(self) -> float:
        """Seconds of silence after which a stream sends a comment; 0 is never."""
        given = self._vllm_arg("sse_keep_alive_interval")
        return float(given) if isinstance(given, int) else STREAM_KEEP_ALIVE_S

    @model_validator(mode="after")
    def _fits_together(self) -> Settings:
        if self.ssl_certfile is None:
            alone = [
                name
                for name in TlsFiles.model_fields
                if getattr(self, name) != type(self).model_fields[name].default
            ]
            if alone:
                raise ValueError(f"{alone[0]}: has no effect without ssl_certfile; set that too")
        try:
            _ = self.tls
        except ValidationError as error:
            raise ValueError(_first_reason(error)) from None
        try:
            _ = self.origins
        except ValidationError as error:
            raise ValueError(f"vllm_args: {_first_reason(error)}") from None
        return self

    @property
    def enforce_eager(self) -> bool:
        """Whether nothing shall be compiled, by vLLM's option of that name."""
        return self._vllm_arg("enforce_eager") is True

    @model_validator(mode="after")
    def _forks_fast_only(self) -> Settings:
        if self.start == "plain" and self.start_method == "fork":
            raise ValueError(
                "start_method: fork is a part of start: fast; a plain start spawns the engine."
                " Leave start_method out, or say start: fast"
            )
        return self

    @model_validator(mode="after")
    def _has_keys(self) -> Settings:
        if self.api_key_required and self.access_file is None:
            raise ValueError(
                "access_file: not set; name a file with keys, or say api_key_required: false"
            )
        return self

    def digest(self) -> str:
        """Differs where a setting does. Keys and limits are in a file of their own."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]


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
    if switched := refused_switches(os.environ):
        raise ConfigError(switched)
    if idle := [name for name in IDLE_SWITCHES if name in os.environ]:
        raise ConfigError(
            [
                f"{name}: has no effect here; take it out of the environment and use"
                f" {IDLE_SWITCHES[name]}"
                for name in idle
            ]
        )
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


def _first_reason(error: ValidationError) -> str:
    item = error.errors(include_url=False, include_input=False)[0]
    text = str(item["msg"]).removeprefix("Value error, ")
    return f"{item['loc'][0]}: {text}" if item["loc"] else text


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
