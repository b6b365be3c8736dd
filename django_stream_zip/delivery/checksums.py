"""CRC-32s learned while sending, kept in Django's cache for whoever resumes a download.

They spare reading a member again. The bytes of an archive don't depend on them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from hashlib import sha256
from itertools import accumulate
from typing import Any, Final

from django.core.cache import caches

from django_stream_zip import conf
from django_stream_zip.engine import spec
from django_stream_zip.planning.content import Description

logger = logging.getLogger("django_stream_zip")

# One round trip to a cache server takes as long as many small members.
_BATCH: Final = 200
# Seconds for which an archive that was not as declared can't be resumed.
_INVALID_SECONDS: Final = 24 * 60 * 60
# A local file that is shorter is read faster than its CRC-32 comes from a cache.
_WORTH_ASKING: Final = 64 << 10


class CachedChecksums:
    """The checksums in the cache that the setting CRC_32_CACHE names; none if it names none.

    What is learned is written by `save`: in the end, and whenever `learn` returns it. A cache that
    fails costs time later, but no download.

    `contents` are those of the archive whose CRC-32 isn't known.
    """

    def __init__(self, contents: Iterable[Description] = ()) -> None:
        self._contents = contents
        self._alias = conf.get("CRC_32_CACHE")
        self._learned: dict[str, int] = {}
        self._asked: dict[str, int | None] = {}

    def key(self, content: Description) -> str:
        """Return the cache key of a content in its present state."""
        state = f"{len(content.identity)} {content.identity} {content.validator}"
        # What only this host knows of a file: its inode, for example.
        if (local_state := getattr(content, "local_state", None)) is not None:
            state += f" {local_state}"
        return (
            f"django_stream_zip:crc_32:{sha256(state.encode(errors='surrogatepass')).hexdigest()}"
        )

    def known(self, contents: Iterable[Description]) -> Mapping[str, int]:
        """Return those that are in the cache, by their keys. Each is asked for once."""
        if not self._alias:
            return {}
        keys = [self.key(content) for content in contents if self._is_worth_asking(content)]
        new = [key for key in keys if key not in self._asked]
        for start in range(0, len(new), _BATCH):
            batch = new[start : start + _BATCH]
            self._asked |= dict.fromkeys(batch)
            # Anything else in a cache would break the archive each time it is resumed.
            self._asked |= {
                key: crc_32
                for key, crc_32 in (self._cache("get_many", batch) or {}).items()
                if type(crc_32) is int and 0 <= crc_32 <= spec.MAX_32
            }
        known = ((key, self._asked.get(key)) for key in keys)
        return {key: crc_32 for key, crc_32 in known if crc_32 is not None}

    def learn(self, content: Description, crc_32: int) -> Callable[[], None] | None:
        """Record one, if it is of use later. Returns `save` when enough are recorded."""
        # A file that is modified again within the same tick of its clock keeps its state.
        is_settled = getattr(content, "is_settled", True)
        if (
            self._alias
            and content.validator is not None
            and is_settled
            and self._is_worth_asking(content)
        ):
            self._learned[self.key(content)] = crc_32
        return self.save if len(self._learned) >= _BATCH else None

    def invalidate(self, entity_tag: str) -> None:
        """Record that an archive is not as declared: a content has another size or CRC-32.

        A client who resumed it behind the wrong member would take it for whole.
        """
        if self._alias:
            self._cache("set", _invalid(entity_tag), True, _INVALID_SECONDS)

    def is_invalid(self, entity_tag: str) -> bool:
        """Return whether that was recorded."""
        return bool(self._alias and self._cache("get", _invalid(entity_tag)))

    def save(self) -> None:
        """Write to the cache what was recorded since."""
        learned, self._learned = self._learned, {}
        if learned:
            self._cache("set_many", learned, conf.get("CRC_32_CACHE_TIMEOUT"))

    def _is_worth_asking(self, content: Description) -> bool:
        return not _is_read_fast(content) or self._are_short_ones_too_long

    @cached_property
    def _are_short_ones_too_long(self) -> bool:
        """Whether short local files are, all together, too long to be read again for a range.

        Half of what may be: the rest is for what is read again of a long one (see `plan`).
        """
        budget = conf.get("MAX_UNSENT_BYTES")
        short = (content.size or 0 for content in self._contents if _is_read_fast(content))
        return budget is not None and any(length > budget // 2 for length in accumulate(short))

    def _cache(self, method: str, *args: Any) -> Any:
        if self._alias is None:
            return None
        try:
            return getattr(caches[self._alias], method)(*args)
        except Exception:
            logger.warning("the cache %r failed to %s", self._alias, method, exc_info=True)
            self._alias = None  # for this download: a server that is gone takes its time to fail
            return None


def _is_read_fast(content: Description) -> bool:
    is_local = getattr(content, "local_state", None) is not None
    return is_local and content.size is not None and content.size < _WORTH_ASKING


def _invalid(entity_tag: str) -> str:
    tag = entity_tag.strip('"')
    return f"django_stream_zip:invalid:{tag}"
