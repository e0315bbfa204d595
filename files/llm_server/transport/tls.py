# SPDX-License-Identifier: Apache-2.0
"""TLS from certificate files, which may be replaced while the server runs."""

from __future__ import annotations

import logging
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, Self

from cryptography import x509
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..errors import ConfigError

logger = logging.getLogger("llm_server")

#: Of Python's three numbers, which vLLM's option has too: 0 none, 1 may, 2 must show one.
NO_CLIENT: Final = 0


class ServerContext(ssl.SSLContext):
    """What connections are made with, and when its certificate ends."""

    #: Seconds since 1970; Python cannot read it off the certificate in force.
    expires: float | None = None


class TlsFiles(BaseModel):
    """The settings of these names; those of vLLM and uvicorn."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ssl_certfile: Path
    #: Unset: the key is in the certificate's file.
    ssl_keyfile: Path | None = None
    #: Who signs the certificates of clients.
    ssl_ca_certs: Path | None = None
    ssl_cert_reqs: Literal[0, 1, 2] = NO_CLIENT
    ssl_ciphers: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _clients_have_a_signer(self) -> Self:
        if self.ssl_cert_reqs != NO_CLIENT and self.ssl_ca_certs is None:
            raise ValueError("ssl_cert_reqs: asks clients for certificates; set ssl_ca_certs too")
        return self

    def check(self) -> None:
        """Looks at all of it without using it.

        Raises:
            ConfigError: see `context`; also where the certificate is past its time, or before it.
        """
        self.context()
        certificate = _certificate(self.ssl_certfile)
        now = datetime.now(UTC)
        if certificate.not_valid_after_utc < now:
            when = certificate.not_valid_after_utc.date()
            raise ConfigError(
                [f"ssl_certfile: {self.ssl_certfile} expired on {when}; renew the certificate"]
            )
        if certificate.not_valid_before_utc > now:
            when = certificate.not_valid_before_utc.date()
            raise ConfigError(
                [f"ssl_certfile: {self.ssl_certfile} is not valid before {when}; check the clock"]
            )

    def context(self) -> ServerContext:
        """What connections are made with.

        Raises:
            ConfigError: a file cannot be read or used; says which and why, and shows nothing of it.
        """
        context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
        self.load_into(context)
        if self.ssl_ca_certs is not None:
            try:
                context.load_verify_locations(self.ssl_ca_certs)
            except (OSError, ssl.SSLError) as error:
                raise ConfigError([f"ssl_ca_certs: {_why(self.ssl_ca_certs, error)}"]) from None
        context.verify_mode = ssl.VerifyMode(self.ssl_cert_reqs)
        if self.ssl_ciphers is not None:
            try:
                context.set_ciphers(self.ssl_ciphers)
            except ssl.SSLError:
                raise ConfigError(
                    ["ssl_ciphers: OpenSSL knows no such cipher; see `openssl ciphers`"]
                ) from None
        return context

    def load_into(self, context: ServerContext) -> None:
        """Puts certificate and key in force for connections that come.

        Raises:
            ConfigError: see `context`; what was in force stays.
        """
        certificate = _certificate(self.ssl_certfile)
        key = self.ssl_keyfile or self.ssl_certfile
        field = "ssl_keyfile" if self.ssl_keyfile else "ssl_certfile"
        # First into one that nobody uses: a pair that does not fit would be half in force.
        for each in (ServerContext(ssl.PROTOCOL_TLS_SERVER), context):
            try:
                # A key that needs a password cannot be used: nobody is there to be asked.
                each.load_cert_chain(self.ssl_certfile, key, password=lambda: "")
            except (OSError, ssl.SSLError, ValueError) as error:
                raise ConfigError([f"{field}: {_why(key, error)}"]) from None
        context.expires = certificate.not_valid_after_utc.timestamp()


def open_tls(files: TlsFiles | None) -> ServerContext | None:
    """What a server starts with; None where it speaks plain HTTP.

    A certificate past its time does not keep the server from its start: clients say so
    themselves, and a restart in the night must not make it worse for those that do not look.

    Raises:
        ConfigError: see `TlsFiles.context`.
    """
    if files is None:
        return None
    context = files.context()
    try:
        files.check()
    except ConfigError as error:
        logger.error("%s", error)
    return context


def reload_certificate(files: TlsFiles | None, context: ServerContext | None) -> None:
    """Reads certificate and key again; those that are wrong leave the old ones in force."""
    if files is None or context is None:
        return
    try:
        files.check()
        files.load_into(context)
    except ConfigError as error:
        logger.error("The certificate stays as it was: %s", error)
    else:
        logger.info("Read the certificate %s", files.ssl_certfile)


def _certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())[0]
    except (OSError, ValueError) as error:
        raise ConfigError([f"ssl_certfile: {_why(path, error)}"]) from None


def _why(path: Path, error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        if error.reason == "KEY_VALUES_MISMATCH":
            return f"{path} has a key that does not belong to the certificate; name the right one"
        return f"{path} cannot be used: it must be PEM, and a key must have no password"
    if isinstance(error, OSError):
        return f"{path} cannot be read: {error.strerror}"
    return f"{path} holds no certificate in PEM form"
