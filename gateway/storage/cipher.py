"""What hides a note's text: a fingerprint to know it again, and encryption where a deployment keeps the original."""

import hashlib
import hmac

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from gateway.settings import Settings


class NoteCipher:
    """``note_key`` may hold several Fernet keys, separated by commas: the first encrypts, all of them decrypt."""

    def __init__(self, settings: Settings) -> None:
        self._mac_key = settings.derived_key("note text")
        self._keeps_original = settings.store_original
        keys = settings.note_key.get_secret_value().split(",") if settings.note_key else []
        self._fernet = MultiFernet([Fernet(key.strip()) for key in keys]) if keys else None

    def fingerprint(self, text: str) -> str:
        """Hex HMAC-SHA256: equal for equal texts, and of no use for guessing without the key."""
        return hmac.new(self._mac_key, text.encode(), hashlib.sha256).hexdigest()

    def encrypted(self, text: str) -> bytes | None:
        """The text to keep, or null where the deployment keeps none."""
        return self._fernet.encrypt(text.encode()) if self._fernet and self._keeps_original else None

    def decrypted(self, stored: bytes) -> str | None:
        """The text, or null where no key of this deployment opens it."""
        try:
            return self._fernet.decrypt(stored).decode() if self._fernet else None
        except InvalidToken:
            return None
