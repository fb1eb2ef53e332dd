"""The lock of a pool, which may be found held where an error cut a step short."""

from __future__ import annotations

from threading import RLock


def is_held(mutex: RLock) -> bool:
    """Whether the thread that runs now holds the lock."""
    return mutex._is_owned()  # type: ignore[attr-defined,no-any-return]  # pyright: ignore  # for `threading.Condition`


def let_go(mutex: RLock) -> None:
    """Releases the lock if it is held: after an error that came before or after it was taken, as Ctrl-C may do."""
    if is_held(mutex):
        mutex.release()
