"""The MQTT output: settings, the connection in a loop of its own, and delivery from the journal.

Messages go with QoS 1 and count as delivered when the broker acknowledged them: at least once. Each
carries its stamp, so a repetition can be told.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import Field, field_validator

from denchi.clock import NS
from denchi.config import secret
from denchi.errors import ConfigError
from denchi.outputs.base import Context, Output, OutputConfig, OutputKind, cause
from denchi.outputs.delivery import Away, Delivery, Misconfigured
from denchi.outputs.labels import Labels
from denchi.outputs.mqtt.messages import Messages, split
from denchi.store.cursor import Cursor
from denchi.store.feed import Batch

T = TypeVar("T")
_REFUSALS: Final = (134, 135)
"""Reason codes of a CONNACK: bad user name or password, not authorised (paho turns those of 3.1.1 into them)."""


class MqttConfig(OutputConfig):
    """``[output.NAME]`` with ``kind = "mqtt"``."""

    host: str = Field("127.0.0.1", description="broker")
    port: int = Field(1883, ge=1, le=65535)
    tls: bool = Field(False, description="encrypt; the broker's certificate is checked")
    ca_file: Path | None = Field(None, description="own certificate authority")
    user: str = Field("", description="user")
    password_file: Path | None = Field(None, description="file with the password")
    password_env: str | None = Field(None, description="environment variable with the password")
    password_credential: str | None = Field(None, description="systemd credential")
    prefix: str = Field("denchi", description="first level of every topic")
    discovery: str = Field("homeassistant", description="Home Assistant's prefix; empty: none")
    seconds: bool = Field(False, description="publish every second too, backlog included")
    expire_s: int = Field(15, ge=5, le=3600, description="a value this old is unavailable")
    batch: int = Field(20_000, ge=100, le=1_000_000, description="samples in one round")
    timeout_s: float = Field(10.0, gt=0, le=300)
    clear_serial: bool = Field(False, description="units' serials in clear instead of an HMAC")

    @field_validator("prefix", "discovery")
    @classmethod
    def _level(cls, text: str) -> str:
        if any(c in text for c in "+#\0\t") or text != text.strip("/"):
            raise ValueError("a topic without wildcards and without a slash at its ends")
        return text


class _Loop:
    """An event loop in a thread: the connection keeps itself alive between deliveries."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="denchi-mqtt", daemon=True
        )
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T], timeout_s: float) -> T:
        """Run a coroutine in the loop and wait for it. Raises ``TimeoutError``."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result(timeout_s)
        except TimeoutError:
            future.cancel()
            raise

    def close(self) -> None:
        """Stop the loop and its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        if not self._thread.is_alive():
            self._loop.close()


class MqttSender:
    """Publishes messages; connects when there is something to say."""

    align_ns = NS
    records_only = False

    def __init__(self, config: MqttConfig, context: Context) -> None:
        self.config = config
        self.context = context
        self.max_samples = config.batch
        self.labels = Labels(context.station, context.data_dir, config.clear_serial)
        self._messages = Messages(
            self.labels, config.prefix, config.discovery, config.seconds, config.expire_s
        )
        self._loop: _Loop | None = None
        self._client: Any = None

    def encode(self, batch: Batch, cursor: Cursor) -> list[bytes]:
        """Messages of a batch."""
        return self._messages.encode(batch, cursor, self.context.clock.wall_ns())

    def send(self, lines: Sequence[bytes]) -> None:
        """Publish and wait for the broker's acknowledgements."""
        self._loop = self._loop or _Loop()
        timeout = self.config.timeout_s
        try:
            fresh = self._client is None
            if fresh:
                self._client = self._loop.run(self._connect(), timeout + 1)
                lines = [*self._messages.configs.values(), *lines]
            self._loop.run(self._publish(lines), timeout + 0.01 * len(lines))
        except (Away, ConfigError) as error:
            self._drop()
            if isinstance(error, ConfigError):
                raise Misconfigured(str(error)) from None
            raise
        except Exception as error:
            self._drop()
            raise self._meaning(error) from None

    def _meaning(self, error: Exception) -> Away:
        where = f"{self.config.host}:{self.config.port}"
        # aiomqtt's MqttCodeError carries `rc`: paho's ReasonCode from the broker, or an int, which is an
        # error of the client's own and may have the same number.
        if getattr(getattr(error, "rc", None), "value", None) in _REFUSALS:
            return Misconfigured(
                f"{where} refuses the user or password: check user and password_file"
            )
        return Away(f"{where}: {cause(error)}")

    async def _connect(self) -> Any:
        try:
            import aiomqtt
        except ImportError:
            raise ConfigError(
                "this output needs aiomqtt", cure="install denchi with the extra `mqtt`"
            ) from None
        config = self.config
        password = secret(
            file=config.password_file,
            env=config.password_env,
            credential=config.password_credential,
        )
        tls = aiomqtt.TLSParameters(ca_certs=str(config.ca_file) if config.ca_file else None)
        client = aiomqtt.Client(
            config.host,
            config.port,
            username=config.user or None,
            password=password,
            timeout=config.timeout_s,
            keepalive=30,
            tls_params=tls if config.tls else None,
            will=aiomqtt.Will(self._messages.status_topic, "offline", qos=1, retain=True),
        )
        await client.__aenter__()
        await client.publish(self._messages.status_topic, "online", qos=1, retain=True)
        return client

    async def _publish(self, lines: Sequence[bytes]) -> None:
        for line in lines:
            retain, topic, payload = split(line)
            await self._client.publish(topic, payload, qos=1, retain=retain)

    async def _disconnect(self, client: Any) -> None:
        with contextlib.suppress(Exception):
            await client.publish(self._messages.status_topic, "offline", qos=1, retain=True)
        with contextlib.suppress(Exception):
            await client.__aexit__(None, None, None)

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None and self._loop is not None:
            with contextlib.suppress(Exception):
                self._loop.run(self._disconnect(client), 1.0)

    def check(self) -> str | None:
        """Connect once."""
        try:
            self.send([])
        except Misconfigured as error:
            return str(error)
        except Away as error:
            return f"{error}: is the broker up, and host and port right?"
        return None

    def close(self) -> None:
        """Say goodbye and let go."""
        self._drop()
        if self._loop is not None:
            self._loop.close()
            self._loop = None


def make(name: str, config: MqttConfig, context: Context) -> Output:
    """The output for a configuration."""
    sender = MqttSender(config, context)
    return Delivery(name, "mqtt", context, sender, prepare=sender.labels.prepare)


KIND: Final = OutputKind("mqtt", MqttConfig, make, needs="mqtt")
