"""Ends the gets that can never be answered: what the pure rule says of the gets that wait now."""

import logging

from headwater.planning.prospects import prospects
from headwater.planning.situation import Situation
from headwater.reconcile.exchange import Exchange
from headwater.topology.waits import Wait, futile

logger = logging.getLogger("headwater.exchange")


def end_futile(situation: Situation, exchange: Exchange) -> None:
    """Called by every pass. An aborted run ends all gets by itself."""
    waiting = exchange.waits.of(situation.deployment)
    if not waiting or situation.run.abort or situation.desired is None:
        return
    waits = {
        Wait(
            machine=each.request.machine,
            id=each.request.id,
            asker=each.asker,
            missing=exchange.missing(each),
            until=each.until,
        ): each
        for each in waiting
    }
    for found in futile(waits, prospects(situation), exchange.waits.only):
        where = {"deployment": situation.deployment, "instance": found.wait.asker.instance}
        logger.warning("get.futile", extra={**where, "reason": found.why})
        waits[found.wait].refuse(found.why)
