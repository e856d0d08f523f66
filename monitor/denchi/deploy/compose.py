"""A compose file with InfluxDB 2 and Grafana, provisioned with data source and dashboards.

Both listen on this machine's loopback only. Secrets are made here, stand in files of mode 0600 and are
never printed; a second run keeps them. Grafana shows the dashboards of the entry-point group
``denchi.provisioning``.
"""

from __future__ import annotations

import os
import secrets
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

import click

from denchi.errors import StoreError

GROUP: Final = "denchi.provisioning"
ORG: Final = "denchi"
BUCKET: Final = "denchi"

COMPOSE: Final = """\
# InfluxDB 2 and Grafana for denchi. Written by `denchi install compose`.
# Start with: docker compose up -d    Passwords and token: .env beside this file (keep it private).
name: denchi
services:
  influxdb:
    image: influxdb:2.7
    restart: unless-stopped
    ports:
      - "127.0.0.1:8086:8086"
    environment:
      DOCKER_INFLUXDB_INIT_MODE: setup
      DOCKER_INFLUXDB_INIT_USERNAME: denchi
      DOCKER_INFLUXDB_INIT_PASSWORD: ${DENCHI_INFLUX_PASSWORD:?see .env}
      DOCKER_INFLUXDB_INIT_ORG: denchi
      DOCKER_INFLUXDB_INIT_BUCKET: denchi
      DOCKER_INFLUXDB_INIT_ADMIN_TOKEN: ${DENCHI_INFLUX_TOKEN:?see .env}
      INFLUXD_REPORTING_DISABLED: "true"
    volumes:
      - influxdb-data:/var/lib/influxdb2
      - influxdb-config:/etc/influxdb2
    healthcheck:
      test: ["CMD", "influx", "ping"]
      interval: 10s
      retries: 12
  grafana:
    image: grafana/grafana-oss:11.6.0
    restart: unless-stopped
    depends_on:
      influxdb:
        condition: service_healthy
    ports:
      - "127.0.0.1:3000:3000"
    environment:
      GF_SECURITY_ADMIN_PASSWORD: ${DENCHI_GRAFANA_PASSWORD:?see .env}
      GF_ANALYTICS_REPORTING_ENABLED: "false"
      GF_ANALYTICS_CHECK_FOR_UPDATES: "false"
      GF_USERS_ALLOW_SIGN_UP: "false"
      DENCHI_INFLUX_TOKEN: ${DENCHI_INFLUX_TOKEN:?see .env}
    volumes:
      - grafana-data:/var/lib/grafana
      - ./grafana/datasources:/etc/grafana/provisioning/datasources:ro
      - ./grafana/providers:/etc/grafana/provisioning/dashboards:ro
      - ./grafana/dashboards:/var/lib/denchi-dashboards:ro
volumes:
  influxdb-data:
  influxdb-config:
  grafana-data:
"""

SOURCE: Final = """\
apiVersion: 1
datasources:
  - name: denchi
    uid: denchi
    type: influxdb
    access: proxy
    url: http://influxdb:8086
    isDefault: true
    jsonData:
      version: Flux
      organization: denchi
      defaultBucket: denchi
    secureJsonData:
      token: $DENCHI_INFLUX_TOKEN
"""

PROVIDER: Final = """\
apiVersion: 1
providers:
  - name: denchi
    folder: denchi
    type: file
    allowUiUpdates: false
    options:
      path: /var/lib/denchi-dashboards
"""

CONFIG: Final = """\
[output.influxdb]
kind = "influxdb"
url = "http://127.0.0.1:8086"
org = "denchi"
bucket = "denchi"
token_file = "{token}"
"""


def dashboards() -> dict[str, str]:
    """{file name: JSON} of the installed dashboards that speak Flux."""
    found: dict[str, str] = {}
    for entry in entry_points(group=GROUP):
        found |= entry.load()()
    return {name: text for name, text in found.items() if name.endswith(".flux.json")}


def write(folder: Path) -> list[Path]:
    """Write everything into ``folder``; secrets that are there stay. Returns what was written."""
    texts = {
        "compose.yaml": COMPOSE,
        "grafana/datasources/denchi.yaml": SOURCE,
        "grafana/providers/denchi.yaml": PROVIDER,
    }
    texts |= {f"grafana/dashboards/{name}": text for name, text in dashboards().items()}
    written = []
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    token = _keep(folder / "influx-token", secrets.token_urlsafe(48) + "\n").strip()
    env = (
        f"DENCHI_INFLUX_TOKEN={token}\n"
        f"DENCHI_INFLUX_PASSWORD={secrets.token_urlsafe(24)}\n"
        f"DENCHI_GRAFANA_PASSWORD={secrets.token_urlsafe(24)}\n"
    )
    _keep(folder / ".env", env)
    return [*written, folder / "influx-token", folder / ".env"]


def _keep(path: Path, fresh: str) -> str:
    """What the private file holds; it is made (mode 0600) when it is not there."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text(encoding="utf-8")
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(fresh)
    return fresh


@click.command("compose")
@click.option("--print", "print_only", is_flag=True, help="Print compose.yaml and write nothing.")
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("denchi-compose"),
    show_default=True,
    help="Folder to write into.",
)
def command(print_only: bool, into: Path) -> int:
    """InfluxDB 2 and Grafana as a compose project, with data source and dashboards."""
    if print_only:
        click.echo(COMPOSE, nl=False)
        return 0
    try:
        written = write(into)
    except OSError as error:
        raise StoreError(
            f"{error.filename or into}: {error.strerror}", cure="choose another folder with --into"
        ) from None
    for path in written:
        click.echo(f"wrote {path}", err=True)
    click.echo(f"then: cd {into} && docker compose up -d; and in denchi's config.toml:\n", err=True)
    click.echo(CONFIG.format(token=(into / "influx-token").resolve()), nl=False)
    return 0
