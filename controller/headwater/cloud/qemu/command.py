"""How QEMU is called for one machine."""

from pathlib import Path

from headwater.cloud.qemu.record import Record
from headwater.cloud.qemu.seed import macs_of

PROGRAM = "qemu-system-x86_64"
DISK, SEED, CONSOLE, PIDFILE, MONITOR = "disk.qcow2", "seed.iso", "console.log", "pid", "monitor"
GROUP = "239.77.0.1"


def command(record: Record, folder: Path, accelerator: str, hub: int) -> list[str]:
    """`hub` is the port at which the machines of one directory meet, on loopback alone.

    Files are named as seen from the folder: paths of sockets have 107 characters at most. The pid
    file's is whole: by it the process is known.
    """
    outside, inside = macs_of(record.number)
    return [
        PROGRAM,
        "-name",
        record.id,
        "-nodefaults",
        "-no-user-config",
        *("-display", "none"),
        *("-machine", f"q35,accel={accelerator}"),
        *("-cpu", "host" if accelerator == "kvm" else "max"),
        *("-smp", str(record.cpus)),
        *("-m", f"{record.memory}M"),
        *("-drive", f"file={DISK},if=virtio,format=qcow2,discard=unmap"),
        *("-drive", f"file={SEED},if=virtio,format=raw,readonly=on"),
        *("-netdev", f"user,id=outside,hostfwd=tcp:127.0.0.1:{record.port}-:22"),
        *("-device", f"virtio-net-pci,netdev=outside,mac={outside},romfile="),
        *("-netdev", f"socket,id=inside,mcast={GROUP}:{hub},localaddr=127.0.0.1"),
        *("-device", f"virtio-net-pci,netdev=inside,mac={inside},romfile="),
        *("-device", "virtio-rng-pci"),
        *("-chardev", f"file,id=console,path={CONSOLE},append=on"),
        *("-serial", "chardev:console"),
        *("-chardev", f"socket,id=monitor,path={MONITOR},server=on,wait=off"),
        *("-mon", "chardev=monitor,mode=control"),
        *("-pidfile", str(folder / PIDFILE)),
        "-daemonize",
    ]
