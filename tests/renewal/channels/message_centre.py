"""A message centre that speaks SMPP 3.4 (the `smpp34` server), on an event loop of its own thread."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import smpp34

from tests.e2e.ports import free_ports

SYSTEM_ID, PASSWORD = "esme1", "secret"


class MessageCentre:
    """Counts what it takes. `answer` may refuse a message by the status that it returns."""

    def __init__(self, answer: Callable[[Any], int] = lambda _message: 0) -> None:
        [self.port] = free_ports(1)
        self.taken: list[Any] = []
        self.refused: list[Any] = []
        self._answer = answer
        self._sessions: dict[str, Any] = {}
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        with suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self._task = asyncio.current_task()
        self._server = smpp34.Server(host="127.0.0.1", port=self.port, system_id="SMSC")
        await self._server.start()
        self._ready.set()
        while True:
            event = await self._server.next()
            if isinstance(event, smpp34.Esme):
                self._sessions[event.session_id] = event
            elif isinstance(event, smpp34.Unbound):
                self._sessions.pop(event.session_id, None)
            elif isinstance(event, smpp34.SubmitSmEvent):
                status = self._answer(event)
                if status:
                    self.refused.append(event)
                    event.reject(status)
                else:
                    self.taken.append(event)
                    event.accept(message_id=f"id-{len(self.taken)}")

    @property
    def sessions(self) -> int:
        return len(self._sessions)

    def tell(self, text: bytes, esm_class: int = 0x04, **parameters: Any) -> list[Any]:
        """Send a receipt over every session, and return the answers to it."""
        return asyncio.run_coroutine_threadsafe(self._tell(text, esm_class, parameters), self._loop).result(60)

    async def _tell(self, text: bytes, esm_class: int, parameters: dict[str, Any]) -> list[Any]:
        return [
            await session.deliver_sm(
                source_addr="31612345678",
                destination_addr="Grid",
                esm_class=esm_class,
                short_message=text,
                **parameters,
            )
            for session in self._sessions.values()
        ]

    async def _stop(self) -> None:
        await self._server.stop()

    @contextmanager
    def running(self) -> Iterator["MessageCentre"]:
        self._thread.start()
        assert self._ready.wait(60)
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(60)
            self._loop.call_soon_threadsafe(self._task.cancel)
            self._thread.join(60)
