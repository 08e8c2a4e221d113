"""Everything that a deployment can set, read once at start from ``CLINCODE_…`` variables or files of secrets."""

import base64
import ipaddress
import os
from functools import cached_property
from pathlib import Path
from typing import Literal, Self

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import Field, HttpUrl, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

RUN = Path(".run")
LEAST_SECRET = 32
"""Characters of the deployment's secret."""


class Settings(BaseSettings):
    """The gateway's settings: each is the variable ``CLINCODE_`` and its name in capitals, or a file of that name in
    the folder ``CLINCODE_SECRETS_DIR``. A value that does not fit is refused by name."""

    model_config = SettingsConfigDict(env_prefix="CLINCODE_", frozen=True, hide_input_in_errors=True, extra="ignore")

    gateway_host: str = "127.0.0.1"
    gateway_port: int = Field(8000, ge=1, le=65535)
    public_url: HttpUrl | None = None
    """Where people and webhooks reach the gateway, if that is not the address it listens on (a reverse proxy)."""
    auth: Literal["required", "off"] = "required"
    """``off`` lets every request in as an administrator, and is refused on any address but loopback."""
    secret_key: SecretStr
    """From which the keys for sessions, text fingerprints, the audit chain and webhooks are derived."""

    database_url: SecretStr = SecretStr(f"sqlite:///{RUN}/gateway.db")
    store_original: bool = False
    """Keep the note as it was sent too, encrypted with ``note_key``."""
    note_key: SecretStr | None = None
    """A Fernet key: 32 bytes in URL-safe base64."""
    retention_days: int = Field(90, ge=1)

    inference_url: HttpUrl = HttpUrl("http://127.0.0.1:8080/predictions/bert-clinical-ner")
    inference_key_file: Path = RUN / "key_file.json"
    """TorchServe's key file; read again where a key is refused, for each start of TorchServe makes new keys."""
    routing_file: Path | None = None
    """Model versions, canary and experiment; without it everything goes to ``inference_url``."""
    slots: int = Field(1, ge=1)
    """Notes that are with TorchServe at once. An urgent note waits for those that are there when it comes, and on a CPU
    more of them gain nothing (docs/performance.md): as many as TorchServe has workers."""
    urgent_slots: int = Field(1, ge=0)
    """How many urgent notes may be with TorchServe beyond those."""
    queue_size: int = Field(256, ge=1)
    """Notes that may wait for a slot, of each priority."""
    deadline_seconds: float = Field(30.0, gt=0)
    """How long a request may take at most, where it does not ask for less."""
    batch_limit: int = Field(32, ge=1)
    job_attempts: int = Field(8, ge=1)
    """Tries of a durable note that fails, TorchServe being up, before it is set aside for a person."""
    job_hours: float = Field(24.0, gt=0)
    """How long a durable note may wait for a model that is away, before it is set aside."""
    job_timeout_seconds: float = Field(180.0, gt=0)
    """How long one try may take, waiting for a slot included. Longer than the model may take, so that a note on which
    it hangs is told from one that had to wait."""
    lease_seconds: float = Field(30.0, gt=0)

    webhook_hosts: tuple[str, ...] = ()
    """Hosts that a webhook may be sent to (JSON list); none without it."""
    rate_limit: str = "6000/minute"
    """Requests of one key or person, as in "6000/minute"."""

    drift_reference: Path | None = None
    """What notes and answers are held against (``clincode drift reference``); without it nothing is watched."""
    drift_state: Path | None = None
    """Where the drift monitor keeps its counts, so that a restart loses none; of this process alone."""
    drift_save_minutes: float = Field(5.0, gt=0)
    """After which the state is kept at the latest, where notes came in."""
    drift_word_limit: float = Field(0.15, gt=0)
    """Of the divergence of words, in nats, beyond which it is an alert."""
    drift_labels: Path | None = None
    """A folder of weekly scores, 2026-W48.json (``clincode feedback score --json``)."""

    oidc_issuer: HttpUrl | None = None
    oidc_client_id: str | None = None
    oidc_client_secret: SecretStr | None = None
    oidc_role_claim: str = "roles"
    """The claim whose values name a role: coder, supervisor or admin (or service, for a program's token)."""
    oidc_audience: str | None = None
    """The audience of bearer tokens; default: the client's id."""
    session_hours: float = Field(10.0, gt=0)
    session_idle_minutes: float = Field(60.0, gt=0)
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @classmethod
    def load(cls) -> Self:
        """The settings of this process's environment.

        Raises:
            pydantic.ValidationError: a value is missing or does not fit; its text never holds the value.
        """
        folder = os.environ.get("CLINCODE_SECRETS_DIR")
        return cls(_secrets_dir=folder) if folder else cls()  # type: ignore[call-arg]

    @field_validator("secret_key")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value().strip()) < LEAST_SECRET:
            raise ValueError(f"must have at least {LEAST_SECRET} characters")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.auth == "off" and not self.is_loopback:
            raise ValueError("without auth the gateway serves loopback alone: set CLINCODE_GATEWAY_HOST=127.0.0.1")
        if self.store_original and self.note_key is None:
            raise ValueError("CLINCODE_STORE_ORIGINAL needs CLINCODE_NOTE_KEY")
        if self.oidc_issuer and not self.oidc_client_id:
            raise ValueError("CLINCODE_OIDC_ISSUER needs CLINCODE_OIDC_CLIENT_ID")
        return self

    @property
    def is_loopback(self) -> bool:
        if self.gateway_host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.gateway_host).is_loopback
        except ValueError:
            return False

    @cached_property
    def url(self) -> str:
        """The gateway's address as a browser writes it, without a slash at the end."""
        if self.public_url:
            return str(self.public_url).rstrip("/")
        host = f"[{self.gateway_host}]" if ":" in self.gateway_host else self.gateway_host
        return f"http://{host}:{self.gateway_port}"

    def derived_key(self, purpose: str) -> bytes:
        """32 bytes for one purpose, which tell nothing of the secret or of another purpose's key (RFC 5869)."""
        secret = self.secret_key.get_secret_value().strip().encode()
        return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"clincode:{purpose}".encode()).derive(secret)

    def derived_text_key(self, purpose: str) -> str:
        """The same as URL-safe base64."""
        return base64.urlsafe_b64encode(self.derived_key(purpose)).decode()
