"""What is slow to open, and may not all be open: a few are kept open for their next use."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class IdlePool(Generic[Key, Value]):
    """Lends what was opened for a key to one thread at a time; of what is idle a few stay open.

    What is opened counts by its size, as the number of its files.

    A context manager: in the end it closes what is idle.
    """

    def __init__(self, most: int) -> None:
        """Leave open what was used last, of the size `most` at most."""
        self._most = most
        self._idle: OrderedDict[Key, tuple[Value, ExitStack, int]] = OrderedDict()
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
        with self._lock:
            found = self._idle.pop(key, None)
        if found is None:
            self._close_beyond(self._most - size)
            with ExitStack() as stack:
                value = stack.enter_context(opening())
                found = value, stack.pop_all(), size
        try:
            yield found[0]
        finally:
            with self._lock:
                surplus = self._idle.pop(key, None)
                self._idle[key] = found
            if surplus is not None:
                surplus[1].close()
            self._close_beyond(self._most)

    def _close_beyond(self, most: int) -> None:
        """Close what is idle for longest, until no more than `most` is, by its size."""
        while True:
            with self._lock:
                if not self._idle or sum(size for _, _, size in self._idle.values()) <= most:
                    return
                _, (_, stack, _) = self._idle.popitem(last=False)
            stack.close()
