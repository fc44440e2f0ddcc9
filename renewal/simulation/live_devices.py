"""Live virtual meters: each listens on MQTT for its renewal trigger and renews over EST with its own key."""

import json
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import paho.mqtt.client as paho
import structlog

from renewal.channels.mqtt import Broker, topic
from renewal.simulation.est_client import EstClient, EstError
from renewal.simulation.virtual_device import Flash, renew

log = structlog.get_logger(__name__)

_AT_LEAST_ONCE = 1
_LONGEST_NAP_SECONDS = 8
_RECONNECT_SECONDS = 15
_STACK_BYTES = 256 * 1024


@dataclass(frozen=True)
class Meter:
    """One virtual meter: where it is registered, and its flash."""

    fleet: str
    mqtt_id: str
    flash: Flash


class LiveMeters:
    """Runs meters, a thread each, until told to stop."""

    def __init__(self, meters: Sequence[Meter], broker: Broker, trust: Path) -> None:
        self._meters = meters
        self._broker = broker
        self._trust = trust
        self._stopping = threading.Event()

    def run(self) -> None:
        """Run all meters; return when `stop` was called and each has ended."""
        threading.stack_size(_STACK_BYTES)
        threads = [threading.Thread(target=self._live, args=(meter,), name=meter.mqtt_id) for meter in self._meters]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def stop(self) -> None:
        self._stopping.set()

    def _live(self, meter: Meter) -> None:
        client = self._broker.client(meter.mqtt_id, clean_session=False)
        client.user_data_set(meter)
        client.on_connect = _subscribe
        client.on_message = self._on_trigger
        while not self._stopping.is_set():
            try:
                client.connect(self._broker.host, self._broker.port)
                while not self._stopping.is_set() and client.loop(timeout=1) == paho.MQTT_ERR_SUCCESS:
                    pass
            except OSError as error:
                log.info("meter cannot reach the broker", meter=meter.mqtt_id, error=str(error))
            self._stopping.wait(random.uniform(1, _RECONNECT_SECONDS))  # noqa: S311 - spreads load, guards nothing
        client.disconnect()

    def _on_trigger(self, _client: paho.Client, meter: Meter, message: paho.MQTTMessage) -> None:
        try:
            est_url = json.loads(message.payload)["est_url"]
        except (ValueError, KeyError, TypeError):
            log.warning("meter got a trigger it cannot read", meter=meter.mqtt_id)
            return
        # A meter answers when it wakes, not at once.
        self._stopping.wait(random.uniform(0, _LONGEST_NAP_SECONDS))  # noqa: S311 - spreads load, guards nothing
        started = time.monotonic()
        try:
            certificate = renew(meter.flash, EstClient(est_url, self._trust))
        except (EstError, OSError) as error:
            log.warning("meter could not renew", meter=meter.mqtt_id, error=str(error))
            return
        log.info(
            "meter renewed",
            meter=meter.mqtt_id,
            serial=f"{certificate.serial_number:x}",
            seconds=round(time.monotonic() - started, 3),
        )


def _subscribe(client: paho.Client, meter: Meter, _flags: object, _reason: object, _properties: object = None) -> None:
    client.subscribe(topic(meter.fleet, meter.mqtt_id), _AT_LEAST_ONCE)
