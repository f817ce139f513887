"""What is slow to open, and may not all be open: a few are kept open for their next use."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(frozen=True)
class _Opened(Generic[Key, Value]):
    key: Key
    value: Value
    size: int
    stack: ExitStack


class IdlePool(Generic[Key, Value]):
    """Lends what was opened for a key to one thread at a time; of what is idle a few stay open.

    What is opened counts by its size, as the number of its files. Where several threads want the
    same at once, each has its own, and all may stay open.

    A context manager: in the end it closes what is idle.
    """

    def __init__(self, most: int) -> None:
        """Leave open what was used last, of the size `most` at most."""
        self._most = most
        self._idle: list[_Opened[Key, Value]] = []
        self._lock = threading.Lock()

    def __enter__(self) -> IdlePool[Key, Value]:
        """Return the pool itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close what is idle."""
        self.close()

    def close(self) -> None:
        """Close what is idle."""
        self._close_beyond(0)

    @contextmanager
    def lent(
        self, key: Key, opening: Callable[[], AbstractContextManager[Value]], size: int = 1
    ) -> Iterator[Value]:
        """Lend what was opened for this key, or what `opening` opens, which any thread may close.

        Raises:
            whatever `opening` does.
        """
        found = self._taken(key)
        if found is None:
            self._close_beyond(self._most - size)
            with ExitStack() as stack:
                value = stack.enter_context(opening())
                found = _Opened(key, value, size, stack.pop_all())
        try:
            yield found.value
        finally:
            with self._lock:
                self._idle.append(found)
            self._close_beyond(self._most)

    def _taken(self, key: Key) -> _Opened[Key, Value] | None:
        with self._lock:
            for place in reversed(range(len(self._idle))):
                if self._idle[place].key == key:
                    return self._idle.pop(place)
        return None

    def _close_beyond(self, most: int) -> None:
        """Close what is idle for longest, until no more than `most` is, by its size."""
        while True:
            with self._lock:
                if not self._idle or sum(opened.size for opened in self._idle) <= most:
                    return
                oldest = self._idle.pop(0)
            oldest.stack.close()
