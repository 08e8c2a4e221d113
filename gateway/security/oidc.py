"""Sign-in and bearer tokens of an OpenID Connect provider."""

from gateway.security.permissions import Principal


class Provider:
    """The identity provider that ``settings.oidc_issuer`` names."""

    def bearer(self, token: str) -> Principal | None:
        """Whose access token it is; None for one that is not good."""
        raise NotImplementedError
