"""CRC-32s learned while sending, kept in Django's cache for whoever resumes a download.

They spare reading a member again. The bytes of an archive don't depend on them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from hashlib import sha256
from typing import Any, Final

from django.core.cache import caches

from django_stream_zip import conf
from django_stream_zip.delivery.groups import Groups, Noted, is_lasting, state_of
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

    `contents` are those of the archive whose CRC-32 isn't known, `archive` is its entity tag.
    """

    def __init__(self, contents: Iterable[Description] = (), archive: str | None = None) -> None:
        self._contents = contents
        self._archive = archive
        self._alias = conf.get("CRC_32_CACHE")
        self._learned: dict[str, int | tuple[int, ...]] = {}
        self._noted: list[Noted] = []
        self._asked: dict[str, Any] = {}

    def key(self, content: Description) -> str:
        """Return the cache key of a content in its present state."""
        digest = sha256(state_of(content).encode(errors="surrogatepass")).hexdigest()
        return f"django_stream_zip:crc_32:{digest}"

    def known(self, contents: Iterable[Description]) -> Mapping[str, int]:
        """Return those that are in the cache, by their keys. Each is asked for once."""
        if not self._alias:
            return {}
        contents = list(contents)
        asked = [self.key(content) for content in contents if not _is_read_fast(content)]
        places = list(self._groups.places(filter(_is_read_fast, contents)))
        self._ask([*asked, *dict.fromkeys(key for _, key, _ in places)])
        known = {key: self._asked.get(key) for key in asked}
        for content, key, place in places:
            group = self._asked.get(key)
            if type(group) is tuple and place < len(group):
                known[self.key(content)] = group[place]
        # Anything else in a cache would break the archive each time it is resumed.
        return {
            key: crc_32
            for key, crc_32 in known.items()
            if type(crc_32) is int and 0 <= crc_32 <= spec.MAX_32
        }

    def _ask(self, keys: list[str]) -> None:
        """Ask the cache for what it wasn't asked for yet."""
        new = [key for key in keys if key not in self._asked]
        for start in range(0, len(new), _BATCH):
            batch = new[start : start + _BATCH]
            self._asked |= dict.fromkeys(batch)
            self._asked |= self._cache("get_many", batch) or {}

    def learn(self, content: Description, crc_32: int) -> Callable[[], None] | None:
        """Record one, if it is of use later. Returns `save` when enough are recorded."""
        self._noted.append((content, crc_32))
        if len(self._noted) < _BATCH:
            return None
        self._sort()
        return self.save if self._learned else None

    def _sort(self) -> None:
        """Find out which of those that were noted are of use, and by which keys."""
        noted, self._noted = self._noted, []
        if self._alias:
            full, others = self._groups.learn(noted)
            others = [one for one in others if not _is_read_fast(one[0]) and is_lasting(one[0])]
            self._learned |= full | {self.key(content): crc_32 for content, crc_32 in others}

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
        self._sort()
        learned, self._learned = self._learned, {}
        if learned:
            self._cache("set_many", learned, conf.get("CRC_32_CACHE_TIMEOUT"))

    @cached_property
    def _groups(self) -> Groups:
        """Short local files, if they are, all together, too long to be read again for a range.

        Half of what may be: the rest is for what is read again of a long one (see `plan`).
        """
        budget = conf.get("MAX_UNSENT_BYTES")
        if budget is None or self._archive is None:
            return Groups((), "")
        short = [content for content in self._contents if _is_read_fast(content)]
        length = sum(content.size or 0 for content in short)
        return Groups(short if length > budget // 2 else (), self._archive)

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
