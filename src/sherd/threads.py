"""The one place where the control plane begins threads.

The system may refuse one: a limit of processes is reached, or there is no memory for a stack. Whoever wants the thread
decides what that means: `start_thread` raises, which is the end of a start or a client's error; `in_thread` does the
work in the loop itself, so that a snapshot is taken and a server ends all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from sherd.errors import ThreadError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


def start_thread(work: Callable[[], object], name: str) -> threading.Thread:
    """Begin a thread that ends with the process; ThreadError where the system refuses one."""
    thread = threading.Thread(target=work, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        raise ThreadError(f"the thread {name} cannot be started: a limit of the system is reached") from error
    return thread


def run_loop(main: Coroutine[Any, Any, None]) -> None:
    """As `asyncio.run`, which waits for the executor's threads in a further one: without it, they end by themselves."""
    runner = asyncio.Runner()
    try:
        runner.run(main)
    finally:
        with contextlib.suppress(RuntimeError):
            runner.close()


@contextlib.contextmanager
def native_threads() -> Iterator[None]:
    """For what has the data plane begin threads: ThreadError where the system refuses one."""
    try:
        yield
    except OSError as error:
        raise ThreadError(str(error)) from error


class _Work(Generic[_Result]):
    """Something that is done once, by whoever takes it.

    An executor that has no thread for what it was given says so and keeps it: the next one to come would find it done.
    """

    def __init__(self, work: Callable[[], _Result]) -> None:
        self._work = work
        self._taken = threading.Lock()
        self.done: Future[_Result] = Future()

    def take(self) -> bool:
        """Whether it is the caller's to do, or to leave undone."""
        return self._taken.acquire(blocking=False)

    def __call__(self) -> None:
        if not self.take() or not self.done.set_running_or_notify_cancel():
            return
        try:
            self.done.set_result(self._work())
        except BaseException as error:  # noqa: BLE001 - for whoever waits
            self.done.set_exception(error)


def begin_in_thread(work: Callable[[], _Result]) -> asyncio.Future[_Result]:
    """What becomes of `work` in a thread of the loop's executor. Without one: ThreadError, and nothing is done."""
    loop, once = asyncio.get_running_loop(), _Work(work)
    try:
        loop.run_in_executor(None, once)
    except RuntimeError as error:
        # One of its other threads may have it.
        if once.take():
            raise ThreadError("no thread can be started: a limit of the system is reached") from error
    return asyncio.wrap_future(once.done, loop=loop)


async def in_thread(work: Callable[_Given, _Result], *args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
    """The result of `work` in a thread, or in the loop's own where there can be no other. For what ends by itself."""
    bound = functools.partial(work, *args, **kwargs)
    try:
        future = begin_in_thread(bound)
    except ThreadError:
        return bound()
    return await future
