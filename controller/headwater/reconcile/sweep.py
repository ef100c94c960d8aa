"""Volumes that no deployment looks after any more: quarantines that are over, and lost claims."""

import logging

from headwater.errors import HeadwaterError
from headwater.reconcile.claims import claim, every_claim
from headwater.reconcile.furnishing import Furnishing
from headwater.reconcile.stocktaking import is_wanted
from headwater.reconcile.survey import Survey
from headwater.topology.volumes import Volume, VolumeId

logger = logging.getLogger("headwater.volumes")


async def sweep(survey: Survey) -> None:
    """After a look at the clouds. What cannot be deleted now is tried after the next one."""
    executor = survey.executor
    depot = executor.observer.depot
    work = Furnishing(
        executor.installation, executor.clouds, executor.ledger, depot, executor.clock
    )
    for volume in [volume for volume in depot.every() if _is_over(volume, survey)]:
        try:
            await work.delete(volume)
        except HeadwaterError as error:
            logger.warning(
                "volume.not_deleted", extra={"volume": str(volume.id), "reason": str(error)}
            )
        else:
            logger.info("volume.deleted", extra={"volume": str(volume.id), "of": str(volume.key)})
    _forget_lost(survey)


def _is_over(volume: Volume, survey: Survey) -> bool:
    """Its quarantine; and it is still wanted by nobody, and by no suspended deployment."""
    executor, ended = survey.executor, volume.tags.ended
    depot, name = executor.observer.depot, volume.key.instance.deployment
    if ended is None or not volume.is_free or depot.incomplete([volume.id.cloud]):
        return False
    if executor.clock() - ended < depot.quarantine or survey.safety.suspension(name) is not None:
        return False
    desired = survey.desired(name)
    if desired is None and not survey.wanted.is_removed(name):  # what it asks for cannot be read
        return False
    return not is_wanted(volume.key, desired)


def _forget_lost(survey: Survey) -> None:
    """Of deployments that are gone: volumes that somebody else has deleted meanwhile."""
    ledger, depot = survey.executor.ledger, survey.executor.observer.depot
    for key, content in list(every_claim(ledger)):
        deployment = key.instance.deployment
        gone = deployment not in ledger.runs and survey.desired(deployment) is None
        unsure = depot.incomplete([content.cloud]) or key in depot.limbo(deployment)
        there = depot.volume(VolumeId(content.cloud, content.id)) is not None
        if gone and not unsure and not there:
            claim(ledger, key, None)
