"""The messages of a remote host as they travel."""

from engine.workers.host import ExitStatus, SpawnSpec
from engine.workers.remote_messages import (
    CaptureStacks,
    Command,
    Event,
    Exited,
    Forget,
    Join,
    Kill,
    Leave,
    NotSpawned,
    Ping,
    Pong,
    Spawn,
    Spawned,
    Stacks,
    Usage,
    Welcome,
)
from proto.trellis.v1 import workers_pb2 as pb


def encode_event(event: Event) -> pb.HostEvent:
    """Return an agent's event as a message."""
    match event:
        case Join():
            join = pb.HostJoin(
                host=event.host,
                pool=event.pool,
                slots=event.slots,
                session=event.session,
                workers=event.workers,
                resumed=event.resumed,
            )
            return pb.HostEvent(join=join)
        case Ping():
            return pb.HostEvent(ping=pb.HostPing(number=event.number))
        case Leave():
            return pb.HostEvent(leave=pb.HostLeave())
        case Spawned():
            return pb.HostEvent(spawned=pb.WorkerSpawned(worker_id=event.worker_id, pid=event.pid))
        case NotSpawned():
            refused = pb.WorkerNotSpawned(worker_id=event.worker_id, detail=event.detail)
            return pb.HostEvent(not_spawned=refused)
        case Stacks():
            stacks = pb.WorkerStacks(
                request=event.request, worker_id=event.worker_id, text=event.text
            )
            return pb.HostEvent(stacks=stacks)
        case Usage():
            usage = pb.WorkerUsage(
                worker_id=event.worker_id,
                memory_bytes=event.memory_bytes,
                page=event.page,
                over_limit=event.over_limit,
            )
            return pb.HostEvent(usage=usage)
        case Exited():
            exited = pb.WorkerExited(
                worker_id=event.worker_id,
                code=event.status.code,
                signal=event.status.signal,
                page=event.page,
                last_output=event.last_output,
                lingers=event.status.lingers,
            )
            return pb.HostEvent(exited=exited)


def decode_event(message: pb.HostEvent) -> Event | None:
    """Return the event in a message; None for one that this version does not know."""
    match message.WhichOneof("event"):
        case "join":
            join = message.join
            return Join(
                join.host,
                join.pool,
                join.slots,
                join.session,
                tuple(join.workers),
                resumed=join.resumed,
            )
        case "ping":
            return Ping(message.ping.number)
        case "leave":
            return Leave()
        case "spawned":
            return Spawned(message.spawned.worker_id, message.spawned.pid)
        case "not_spawned":
            return NotSpawned(message.not_spawned.worker_id, message.not_spawned.detail)
        case "stacks":
            stacks = message.stacks
            return Stacks(stacks.request, stacks.worker_id, stacks.text)
        case "usage":
            usage = message.usage
            return Usage(usage.worker_id, usage.memory_bytes, usage.page, usage.over_limit)
        case "exited":
            exited = message.exited
            status = ExitStatus(
                code=exited.code if exited.HasField("code") else None,
                signal=exited.signal if exited.HasField("signal") else None,
                lingers=exited.lingers,
            )
            return Exited(exited.worker_id, status, exited.page, tuple(exited.last_output))
    return None


def encode_command(command: Command) -> pb.HostCommand:
    """Return an engine's command as a message."""
    match command:
        case Welcome():
            welcome = pb.HostWelcome(
                check_interval_s=command.check_interval_s,
                check_deadline_s=command.check_deadline_s,
                memory_hard_bytes=command.memory_hard_bytes,
                memory_soft_bytes=command.memory_soft_bytes,
                recycle_after_jobs=command.recycle_after_jobs,
                handlers=command.handlers,
            )
            return pb.HostCommand(welcome=welcome)
        case Pong():
            return pb.HostCommand(pong=pb.HostPong(number=command.number))
        case Spawn(spec):
            spawn = pb.SpawnWorker(
                worker_id=spec.worker_id, slot=spec.slot, pool=spec.pool, title=spec.title
            )
            return pb.HostCommand(spawn=spawn)
        case Kill():
            return pb.HostCommand(kill=pb.KillWorker(worker_id=command.worker_id))
        case CaptureStacks():
            capture = pb.CaptureStacks(
                request=command.request,
                worker_id=command.worker_id,
                timeout_s=command.timeout_s,
            )
            return pb.HostCommand(capture_stacks=capture)
        case Forget():
            return pb.HostCommand(forget=pb.ForgetWorker(worker_id=command.worker_id))


def decode_command(message: pb.HostCommand) -> Command | None:
    """Return the command in a message; None for one that this version does not know."""
    match message.WhichOneof("command"):
        case "welcome":
            welcome = message.welcome
            return Welcome(
                check_interval_s=welcome.check_interval_s,
                check_deadline_s=welcome.check_deadline_s,
                memory_hard_bytes=(
                    welcome.memory_hard_bytes if welcome.HasField("memory_hard_bytes") else None
                ),
                memory_soft_bytes=(
                    welcome.memory_soft_bytes if welcome.HasField("memory_soft_bytes") else None
                ),
                recycle_after_jobs=(
                    welcome.recycle_after_jobs if welcome.HasField("recycle_after_jobs") else None
                ),
                handlers=dict(welcome.handlers),
            )
        case "pong":
            return Pong(message.pong.number)
        case "spawn":
            spawn = message.spawn
            return Spawn(SpawnSpec(spawn.worker_id, spawn.slot, spawn.pool, spawn.title))
        case "kill":
            return Kill(message.kill.worker_id)
        case "capture_stacks":
            capture = message.capture_stacks
            return CaptureStacks(capture.request, capture.worker_id, capture.timeout_s)
        case "forget":
            return Forget(message.forget.worker_id)
    return None
