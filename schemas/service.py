"""The service's part of the settings: where it listens, and what it takes from whom."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated, Self

from pydantic import Field, PositiveInt, model_validator

from schemas.detector import Frozen

Port = Annotated[int, Field(ge=0, le=65_535)]
HostName = Annotated[str, Field(pattern=r"^(\*\.)?[A-Za-z0-9_.:\[\]-]+$")]


class ServiceSettings(Frozen):
    """Where the service listens, and what it takes from whom."""

    host: str = Field("127.0.0.1", min_length=1, description="Address or name that it listens on.")
    port: Port = Field(8380, description="Port of the HTTP side; 0 takes a free one.")
    prefect_port: Port = Field(8381, description="Port of the Prefect server, on loopback; 0 takes a free one.")
    mlflow_port: Port = Field(8382, description="Port of the MLflow server, on loopback; 0 takes a free one.")
    certificate: str | None = Field(
        None, description="File of the TLS certificate and its chain (PEM), relative to the project folder."
    )
    certificate_key: str | None = Field(None, description="File of its key (PEM), likewise.")
    plain_http: bool = Field(
        False, description="Listen beyond loopback without a certificate, for example behind a proxy that has one."
    )
    allowed_hosts: tuple[HostName, ...] = Field(
        (),
        description="Names by which browsers and tools may call it, as `sereno.example.org` or `*.example.org`; "
        "`localhost`, loopback addresses and `host` always may.",
    )
    max_body: PositiveInt = Field(1_000_000, description="Largest body of a request, in bytes.")
    failed_logins: PositiveInt = Field(
        10, description="After so many wrong tokens within a minute an address is refused for the rest of it."
    )

    @model_validator(mode="after")
    def _closed_by_default(self) -> Self:
        if (self.certificate is None) != (self.certificate_key is None):
            raise ValueError("`certificate` and `certificate_key` go together")
        if not self.on_loopback and self.certificate is None and not self.plain_http:
            raise ValueError(
                f"`host` {self.host} is reached from other machines, and tokens would pass in the clear: give "
                "`certificate` and `certificate_key`, or say `plain_http: true`"
            )
        return self

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False
