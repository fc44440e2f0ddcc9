"""The MQTT broker of the demo (MQTT 3.1.1, loopback, no login). A real fleet has its own, named by `MQTT_URL`."""

import asyncio
import signal

from amqtt.broker import Broker
from amqtt.contexts import BrokerConfig, ListenerConfig


def run(bind: str) -> None:
    """Serve on `bind` (host:port) until SIGINT or SIGTERM."""
    asyncio.run(_serve(bind))


async def _serve(bind: str) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    broker = Broker(
        BrokerConfig(
            listeners={"default": ListenerConfig(bind=bind)},
            plugins={"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        )
    )
    await broker.start()
    await stopping.wait()
    await broker.shutdown()
