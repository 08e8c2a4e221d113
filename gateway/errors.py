"""What the gateway refuses beyond the contract's own faults; each is a ``ClincodeError`` with its HTTP status."""

from clincode.errors import ClincodeError


class GatewayError(ClincodeError):
    """A refusal of the gateway's own. ``retry_after`` (seconds) goes into the header of that name."""

    def __init__(
        self, status: int, code: str, message: str, field: str | None = None, *, retry_after: int | None = None
    ) -> None:
        super().__init__(code, message, field)
        self.status = status
        self.retry_after = retry_after


def not_found(what: str, field: str | None = None) -> GatewayError:
    return GatewayError(404, "not_found", f"there is no such {what}", field)


def conflict(code: str, message: str, field: str | None = None) -> GatewayError:
    return GatewayError(409, code, message, field)


class ModelUnavailableError(GatewayError):
    """TorchServe is down, restarting or full: the same request may succeed later."""

    def __init__(self, message: str = "the model does not answer at the moment", *, retry_after: int = 5) -> None:
        super().__init__(503, "model_unavailable", message, retry_after=retry_after)
