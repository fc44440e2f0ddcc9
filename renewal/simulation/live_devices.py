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
        self._meters = [_LiveMeter(meter, broker, trust) for meter in meters]
        self._stopping = threading.Event()

    def run(self) -> None:
        """Run all meters; return when `stop` was called and each has ended."""
        threads = [threading.Thread(target=meter.live, args=(self._stopping,)) for meter in self._meters]
        before = threading.stack_size(_STACK_BYTES)
        for thread in threads:
            thread.start()
        threading.stack_size(before)
        for thread in threads:
            thread.join()

    def stop(self) -> None:
        self._stopping.set()


class _LiveMeter:
    """One meter's main loop: keep the connection, and answer a trigger some time after it came, as a sleeper does."""

    def __init__(self, meter: Meter, broker: Broker, trust: Path) -> None:
        self._meter = meter
        self._broker = broker
        self._trust = trust
        self._wakes_at: float | None = None
        self._est_url = ""

    def live(self, stopping: threading.Event) -> None:
        client = self._broker.client(self._meter.mqtt_id, clean_session=False)
        client.on_connect = self._subscribe
        client.on_message = self._note_trigger
        while not stopping.is_set():
            try:
                client.connect(self._broker.host, self._broker.port)
                while not stopping.is_set() and client.loop(timeout=1) == paho.MQTT_ERR_SUCCESS:
                    self._wake_if_due()
            except OSError as error:
                log.info("meter cannot reach the broker", meter=self._meter.mqtt_id, error=str(error))
            stopping.wait(random.uniform(1, _RECONNECT_SECONDS))  # noqa: S311 - spreads load, guards nothing
        client.disconnect()

    def _subscribe(self, client: paho.Client, *_details: object) -> None:
        client.subscribe(topic(self._meter.fleet, self._meter.mqtt_id), _AT_LEAST_ONCE)

    def _note_trigger(self, _client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        try:
            self._est_url = str(json.loads(message.payload)["est_url"])
        except (ValueError, KeyError, TypeError):
            log.warning("meter got a trigger it cannot read", meter=self._meter.mqtt_id)
            return
        nap = random.uniform(0, _LONGEST_NAP_SECONDS)  # noqa: S311 - spreads load, guards nothing
        self._wakes_at = self._wakes_at or time.monotonic() + nap

    def _wake_if_due(self) -> None:
        if self._wakes_at is None or time.monotonic() < self._wakes_at:
            return
        self._wakes_at = None
        started = time.monotonic()
        try:
            certificate = renew(self._meter.flash, EstClient(self._est_url, self._trust))
        except (EstError, OSError) as error:
            log.warning("meter could not renew", meter=self._meter.mqtt_id, error=str(error))
            return
        log.info(
            "meter renewed",
            meter=self._meter.mqtt_id,
            serial=f"{certificate.serial_number:x}",
            seconds=round(time.monotonic() - started, 3),
        )
