"""AES-256 by WinZip's AE-2: the encryption of a member's encoded data.

Written from WinZip's "AES Encryption Information" and APPNOTE 7.2. The only module
that needs pycryptodome, which is imported when the first member is encrypted.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from copy import copy
from typing import TYPE_CHECKING

from django_stream_zip.engine import spec
from django_stream_zip.engine.errors import MisuseError, ZipValueError

if TYPE_CHECKING:
    from django_stream_zip.engine.encoders import Encoder

    pass


class Encryption:
    """A password and a source of randomness, good for any number of members."""

    def __init__(self, password: str, get_crypto_random: Callable[[int], bytes]) -> None:
        self._password = _password(password)
        self._get_crypto_random = get_crypto_random

    def salted(self) -> Encryption:
        """Draw a salt now; return what encrypts one member with it, in any thread."""
        salt = self._get_crypto_random(spec.AES_SALT_LENGTH)
        salted = copy(self)
        salted._get_crypto_random = lambda _: salt
        return salted

    def encrypted(self, encoder: Encoder) -> Encoder:
        """Return an encoder that encrypts what another one returns."""
        return _Encrypted(encoder, self._password, self._get_crypto_random)


def _password(password: str) -> bytes:
    """Encode a password. Errors don't show it: messages end up in logs."""
    if not isinstance(password, str):
        raise TypeError(f"password must be a str, not {type(password).__name__}")
    if not password:
        raise ZipValueError("password is empty: use None for an archive without encryption")
    try:
        encoded = password.encode()
    except UnicodeEncodeError as error:
        raise ZipValueError(
            f"password: its character number {error.start + 1} can't be written as UTF-8 "
            f"({error.reason})"
        ) from None
    if len(encoded) > spec.AES_MAX_PASSWORD_LENGTH:
        raise ZipValueError(
            f"password has {len(encoded):,} bytes in UTF-8, and 7-Zip opens no archive with one "
            f"of more than {spec.AES_MAX_PASSWORD_LENGTH}: use a shorter one"
        )
    return encoded


class EncryptionOverhead:
    """Stands in for Encryption where an archive is only measured: no password and no keys."""

    def encrypted(self, encoder: Encoder) -> Encoder:
        """Return an encoder that encrypts what another one returns."""
        return _Overhead(encoder)


class _Encrypted:
    """Salt and password verifier, ciphertext, authentication code."""

    def __init__(
        self, encoder: Encoder, password: bytes, get_crypto_random: Callable[[int], bytes]
    ) -> None:
        self._encoder = encoder
        self._password = password
        self._get_crypto_random = get_crypto_random
        self._started = False

    @property
    def slow_from(self) -> int:
        # Deriving the keys takes 0.5 ms. AES and HMAC do 256 KiB in that time.
        return min(1 << 18, self._encoder.slow_from) if self._started else 0

    def write(self, chunk: bytes) -> bytes:
        data = self._encoder.write(chunk)
        if self._started:
            return self._encrypt(data)
        return self._start() + self._encrypt(data)

    def skip(self, length: int) -> int:
        raise MisuseError("an encrypted member can't be skipped: measure with EncryptionOverhead")

    def content_before(self, position: int) -> int:
        raise MisuseError("an encrypted member has no ranges")

    def end(self) -> bytes:
        start = b"" if self._started else self._start()
        data = self._encrypt(self._encoder.end())
        return start + data + self._hmac.digest()[: spec.AES_AUTHENTICATION_LENGTH]

    def _start(self) -> bytes:
        """Derive the keys: only with the first bytes, as it takes as long as compressing some."""
        from Crypto.Cipher import AES
        from Crypto.Hash import SHA1
        from Crypto.Protocol.KDF import PBKDF2
        from Crypto.Util import Counter

        self._started = True
        salt = self._get_crypto_random(spec.AES_SALT_LENGTH)
        if len(salt) != spec.AES_SALT_LENGTH:
            raise ZipValueError(
                f"get_crypto_random returned {len(salt)} bytes instead of {spec.AES_SALT_LENGTH}"
            )
        length = spec.AES_KEY_LENGTH
        # Not hashlib's: OpenSSL 3 takes 0.87 ms for what is done here in 0.68.
        keys: bytes = PBKDF2(
            self._password,
            salt,
            2 * length + spec.AES_VERIFIER_LENGTH,
            spec.AES_PBKDF2_ITERATIONS,
            hmac_hash_module=SHA1,
        )
        counter = Counter.new(128, little_endian=True)
        self._cipher = AES.new(keys[:length], AES.MODE_CTR, counter=counter)
        self._hmac = hmac.new(keys[length : 2 * length], digestmod="sha1")
        return salt + keys[2 * length :]

    def _encrypt(self, data: bytes) -> bytes:
        encrypted: bytes = self._cipher.encrypt(data)
        self._hmac.update(encrypted)
        return encrypted


class _Overhead:
    """As long as an encrypted member, and nothing else."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.slow_from = encoder.slow_from

    def write(self, chunk: bytes) -> bytes:
        raise MisuseError("this archive is only measured: its members must be skipped")

    def skip(self, length: int) -> int:
        return self._encoder.skip(length)

    def content_before(self, position: int) -> int:
        raise MisuseError("an encrypted member has no ranges")

    def end(self) -> bytes:
        return self._encoder.end() + bytes(spec.AES_OVERHEAD)
