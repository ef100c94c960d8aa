"""What can go wrong around a controller, at random and again the same for the same seed."""

import random
from collections.abc import Sequence

from fakes.builders import key
from fakes.site import Site
from headwater.errors import Transient
from headwater.topology.machines import Machine, MachineState


class Storm:
    """Strikes a site that wants at most four instances of `web`."""

    def __init__(self, site: Site, wishes: Sequence[str], seed: int) -> None:
        self.site = site
        self.wishes = wishes
        self.rng = random.Random(seed)  # noqa: S311  # no secret
        self.events = [
            self.commit,
            self.commit,
            self.kill,
            self.kill,
            self.stop,
            self.hide,
            self.outage,
            self.refuse,
            self.lose_answer,
            self.mute,
            self.calm,
        ]

    def strike(self) -> float:
        """One thing goes wrong. Returns the seconds until the next one does."""
        self.rng.choice(self.events)()
        return self.rng.choice([0.0, 0.1, 1.0, 15.0])

    def commit(self) -> None:
        self.site.commit(self.rng.choice(self.wishes))

    def kill(self) -> None:
        if machine := self._anyone():
            self.site.clouds.lose(machine.id)

    def stop(self) -> None:
        states = [MachineState.STOPPED, MachineState.FAILED, MachineState.UNKNOWN]
        if machine := self._anyone():
            self.site.clouds.become(machine.id, self.rng.choice(states))

    def hide(self) -> None:
        present = self.site.clouds.present()
        self.site.clouds.omitted = {m.id for m in present if self.rng.random() < 0.3}

    def outage(self) -> None:
        self.site.clouds.unlistable["local"] = "503"

    def refuse(self) -> None:
        self.site.clouds.refused[key(f"web.{self.rng.randint(1, 4)}")] = Transient("503")

    def lose_answer(self) -> None:
        self.site.clouds.lost_answers[key(f"web.{self.rng.randint(1, 4)}")] = Transient("late")

    def mute(self) -> None:
        self.site.answers.failures = [Transient("502")] * self.rng.randint(1, 3)

    def calm(self) -> None:
        clouds = self.site.clouds
        clouds.unlistable.clear()
        clouds.omitted = set()
        for machine in list(clouds.present()):
            if machine.state is MachineState.UNKNOWN:
                clouds.become(machine.id, MachineState.RUNNING)

    def _anyone(self) -> Machine | None:
        present = list(self.site.clouds.present())
        return self.rng.choice(present) if present else None
