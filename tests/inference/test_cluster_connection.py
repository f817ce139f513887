"""A client that lost its scheduler is replaced, as long as Dask itself would try."""

from __future__ import annotations

from dataclasses import dataclass

import dask
import distributed  # noqa: F401  brings Dask's settings
import pytest

from lcmap.errors import UnavailableError
from lcmap.inference.cluster_connection import Connection

SECONDS = "distributed.comm.timeouts.connect"


@dataclass
class Client:
    status: str

    def close(self) -> None:
        if self.status == "connecting":
            raise AssertionError("of what ended its connection")
        self.status = "closed"


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Client | OSError]:
    """What one attempt to connect after another finds."""
    attempts: list[Client | OSError] = [Client("connecting"), OSError(), OSError()]

    def connect(_: Connection) -> Client:
        attempt = attempts.pop(0)
        if isinstance(attempt, OSError):
            raise attempt
        return attempt

    monkeypatch.setattr(Connection, "_connect", connect)
    return attempts


def test_another_client_is_tried_until_one_connects(found: list[Client | OSError]) -> None:
    found.append(Client("running"))
    with Connection("tcp://a:1") as connection:
        lost = connection.client
        assert connection.restore()
        assert lost.status == "closed"
        assert connection.client.status == "running"
        assert not connection.restore()
    assert connection.client.status == "closed"


def test_a_scheduler_that_stays_away_ends_the_run(found: list[Client | OSError]) -> None:
    with (
        dask.config.set({SECONDS: "50ms"}),
        Connection("tcp://a:1") as connection,
        pytest.raises(UnavailableError, match=r"scheduler=tcp://a:1`?: went away; start it"),
    ):
        connection.restore()
