"""The double of OpenStack, and gateways that lead to it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from contracts.asking import opened
from contracts.openstack.asking import PUBLIC
from fakes.openstack.endpoint import OpenStackEndpoint, openstack_endpoint
from headwater.cloud.gateway import Gateway


@pytest.fixture
def endpoint() -> Iterator[OpenStackEndpoint]:
    with openstack_endpoint() as endpoint:
        yield endpoint
        endpoint.before = lambda _: None


@pytest.fixture
async def gateway(endpoint: OpenStackEndpoint, tmp_path: Path) -> AsyncIterator[Gateway]:
    async with opened(endpoint.cloud("lab"), tmp_path) as gateway:
        endpoint.clear()
        yield gateway


@pytest.fixture
async def floating(endpoint: OpenStackEndpoint, tmp_path: Path) -> AsyncIterator[Gateway]:
    """A cloud with floating addresses."""
    async with opened(endpoint.cloud("lab", **PUBLIC), tmp_path) as gateway:
        yield gateway
