"""Sign-in of people and bearer tokens of programs by an OpenID Connect provider.

The authorization code flow with PKCE. What must be remembered between leaving for the provider and coming back (state,
nonce, verifier, where to go then) is in a short-lived cookie that only the gateway can read.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote_plus, urlsplit

import httpx
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri  # type: ignore[import-untyped]
from authlib.oauth2.rfc7636 import create_s256_code_challenge  # type: ignore[import-untyped]
from cryptography.fernet import Fernet, InvalidToken

from gateway.security.discovery import SECONDS, Discovery
from gateway.security.permissions import PERMISSIONS, Principal, Role
from gateway.security.refusals import NoRoleError, ProviderUnavailableError, SignInError
from gateway.security.secrets import is_user_name, same
from gateway.security.tokens import is_id_token, role_of, user_of, verified_claims
from gateway.settings import Settings

STATE_SECONDS = 600
"""How long a person may take at the provider."""
_SCOPE = "openid profile email"


@dataclass(frozen=True, slots=True)
class SignIn:
    """A person whom the provider vouches for."""

    user: str
    role: Role
    next_path: str


class Provider:
    """The identity provider that ``settings.oidc_issuer`` names. All methods block on the network."""

    def __init__(self, settings: Settings) -> None:
        """Raises ValueError where the issuer is not reached by https."""
        self._settings = settings
        self.discovery = Discovery(str(settings.oidc_issuer))
        self.name = urlsplit(self.discovery.issuer).hostname or "the identity provider"
        self.cookie = "__Host-clincode-oidc" if settings.url.startswith("https://") else "clincode_oidc"
        self._redirect_uri = f"{settings.url}/login/callback"
        self._client_id = settings.oidc_client_id or ""
        self._audience = settings.oidc_audience or self._client_id
        self._seal = Fernet(settings.derived_text_key("oidc state"))

    def begin(self, next_path: str) -> tuple[str, str]:
        """Where to send the browser, and the value of ``self.cookie`` to send along."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        url = prepare_grant_uri(
            self.discovery.metadata().authorization_endpoint,
            client_id=self._client_id,
            response_type="code",
            redirect_uri=self._redirect_uri,
            scope=_SCOPE,
            state=state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
        )
        memory = json.dumps({"state": state, "nonce": nonce, "verifier": verifier, "next": next_path})
        return url, self._seal.encrypt(memory.encode()).decode()

    def finish(self, sealed: str | None, answer: Mapping[str, str]) -> SignIn:
        """Who came back from the provider, by the query of the address that it sent the browser to.

        Raises:
            SignInError: the answer is not to what this browser asked, the provider refused, or its token is no good.
            NoRoleError: the person has no role here.
            ProviderUnavailableError: it does not answer.
        """
        memory = self._opened(sealed)
        code = answer.get("code")
        if not code or not same(answer.get("state", ""), memory["state"]):
            raise SignInError
        if "iss" in answer and answer["iss"] != self.discovery.metadata().issuer:
            raise SignInError
        token = self._exchange(code, memory["verifier"])
        claims = verified_claims(self.discovery, token, self._client_id)
        if claims is None or not same(str(claims.get("nonce", "")), memory["nonce"]):
            raise SignInError
        if isinstance(claims["aud"], list) and len(claims["aud"]) > 1 and claims.get("azp") != self._client_id:
            raise SignInError
        user = user_of(claims)
        if user is None:
            raise SignInError
        role = role_of(claims, self._settings.oidc_role_claim, people_only=True)
        if role is None:
            raise NoRoleError
        return SignIn(user, role, memory["next"])

    def bearer(self, token: str) -> Principal | None:
        """Whose access token it is; None for one that is not good or is an ID token.

        Raises:
            NoRoleError: it is good, and gives no role here.
            ProviderUnavailableError: the keys to verify it cannot be had.
        """
        claims = verified_claims(self.discovery, token, self._audience)
        if claims is None or is_id_token(claims):
            return None
        role = role_of(claims, self._settings.oidc_role_claim, people_only=False)
        if role is None:
            raise NoRoleError
        if role is Role.SERVICE:
            names = [claims.get(name) for name in ("azp", "client_id", "sub")]
            name = next((f"client:{name}" for name in names if is_user_name(name)), None)
        else:
            user = user_of(claims)
            name = f"user:{user}" if user else None
        return Principal(name, role, PERMISSIONS[role]) if name else None

    def _exchange(self, code: str, verifier: str) -> str:
        """The ID token for an authorization code."""
        metadata = self.discovery.metadata()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "code_verifier": verifier,
            "redirect_uri": self._redirect_uri,
            "client_id": self._client_id,
        }
        auth = None
        if self._settings.oidc_client_secret:
            secret = self._settings.oidc_client_secret.get_secret_value().strip()
            if "client_secret_basic" in metadata.token_auth_methods:  # RFC 6749 2.3.1: each part is encoded first
                auth = httpx.BasicAuth(quote_plus(self._client_id), quote_plus(secret))
            else:
                form["client_secret"] = secret
        try:
            answer = httpx.post(
                metadata.token_endpoint, data=form, auth=auth, timeout=SECONDS, headers={"Accept": "application/json"}
            )
            token = answer.json().get("id_token") if answer.is_success else None
        except httpx.TransportError:
            raise ProviderUnavailableError from None
        except (httpx.HTTPError, ValueError, AttributeError):
            raise SignInError from None
        if answer.is_server_error:
            raise ProviderUnavailableError
        if not isinstance(token, str):
            raise SignInError
        return token

    def _opened(self, sealed: str | None) -> dict[str, str]:
        if not sealed:
            raise SignInError
        try:
            memory: dict[str, str] = json.loads(self._seal.decrypt(sealed.encode(), ttl=STATE_SECONDS))
        except (InvalidToken, ValueError):
            raise SignInError from None
        return memory
