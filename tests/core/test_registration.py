"""Every interleaving of several writers, lost answers, late requests and kills, over the shipped steps."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple, assert_never

import pytest

from ciml.core.registration import (
    Answer,
    Claim,
    Created,
    CreateRow,
    Finish,
    Found,
    GiveUp,
    ReadLedger,
    SearchRows,
    Seen,
    Step,
    SweepRows,
    Swept,
    Writer,
    WriteRecord,
    Written,
    learned,
    next_step,
)

LONG = bool(os.environ.get("CIML_TEST_LONG"))


class World(NamedTuple):
    """All there is: the two services, what is under way, and the writers."""

    ledger: tuple[Claim, ...]
    """Records of the one recipe that all writers are about, in order of the chain."""
    rows: frozenset[int]
    last_row: int
    late: int
    """Requests for a row whose sender gave up on them, and which may still arrive."""
    writers: tuple[Writer | Finish | GiveUp, ...]
    created_by: tuple[int, ...]
    """Writers that reported to have created the version."""
    reported: frozenset[int]
    """Versions that writers reported."""
    losses: tuple[int, ...]
    """Answers that each writer may still lose."""
    kills: tuple[int, ...]


class Protocol(NamedTuple):
    """The steps under test, and how the services around them behave."""

    step: Callable[[Writer], Step] = next_step
    learn: Callable[[Writer, Answer], Writer] = learned
    nonce: Callable[[int, int], str] = lambda writer, life: f"{writer}.{life}"
    believes: bool = False
    """Mutant: the answer to a push is believed, and what was refused is put on top of whatever came."""
    records: bool = True
    """Mutant without: a writer reports the row that it found or made."""
    sweeps_blindly: bool = False
    """Mutant: everything but the writer's own row is swept, before any record names one."""


SHIPPED = Protocol()


def explore(writers: int, losses: int, kills: int, protocol: Protocol = SHIPPED) -> tuple[int, str | None]:
    """How many worlds can be reached, and the first violation found in one."""
    lives = tuple(_born(number, 0, protocol) for number in range(writers))
    start = World((), frozenset(), 0, 0, lives, (), frozenset(), (losses,) * writers, (kills,) * writers)
    seen, pending = {start}, [start]
    while pending:
        world = pending.pop()
        if wrong := violation(world):
            return len(seen), wrong
        for following in successors(world, protocol):
            if following not in seen:
                seen.add(following)
                pending.append(following)
    return len(seen), None


def _born(number: int, life: int, protocol: Protocol) -> Writer:
    return Writer(nonce=protocol.nonce(number, life), creates=2, writes=3)


def violation(world: World) -> str | None:
    """What is wrong with a world, if anything."""
    if len(world.reported) > 1:
        return f"two versions were reported: {sorted(world.reported)}"
    if len(world.ledger) > 1:
        return "the ledger has two records of one recipe"
    if len(world.created_by) > 1:
        return "two writers believe that they created the version"
    if world.ledger and world.ledger[0].version not in world.rows:
        return "the recorded row was swept"
    return None


def successors(world: World, protocol: Protocol) -> Iterator[World]:
    """Every world that one event leads to."""
    if world.late:
        row = world.last_row + 1
        yield world._replace(rows=world.rows | {row}, last_row=row, late=world.late - 1)
    for number, writer in enumerate(world.writers):
        if isinstance(writer, Writer):
            yield from _acts(world, number, writer, protocol)
            if world.kills[number]:
                born = _born(number, world.kills[number], protocol)
                yield _with(world, number, born)._replace(kills=_less(world.kills, number))


def _acts(world: World, number: int, writer: Writer, protocol: Protocol) -> Iterator[World]:
    step = protocol.step(writer)
    match step:
        case ReadLedger():
            claim = world.ledger[0] if world.ledger else None
            yield _told(world, number, writer, Seen(head=str(len(world.ledger)), claim=claim), protocol)
        case SearchRows():
            yield _told(world, number, writer, Found(row=min(world.rows, default=None)), protocol)
        case CreateRow():
            row = world.last_row + 1
            made = world._replace(rows=world.rows | {row}, last_row=row)
            yield _told(made, number, writer, Created(row=row), protocol)
            if world.losses[number]:
                lost = world._replace(losses=_less(world.losses, number))
                yield _told(lost, number, writer, Created(row=None), protocol)
                yield _told(lost._replace(late=lost.late + 1), number, writer, Created(row=None), protocol)
        case WriteRecord():
            yield from _written(world, number, writer, step, protocol)
        case SweepRows(keep=keep):
            yield _told(world._replace(rows=world.rows & {keep}), number, writer, Swept(), protocol)
        case Finish(version=version, created=created):
            reported = world._replace(
                reported=world.reported | {version},
                created_by=(*world.created_by, number) if created else world.created_by,
            )
            yield _with(reported, number, step)
        case GiveUp():
            yield _with(world, number, step)
        case _:
            assert_never(step)


def _written(world: World, number: int, writer: Writer, step: WriteRecord, protocol: Protocol) -> Iterator[World]:
    claim = Claim(version=step.version, nonce=writer.nonce)
    if protocol.sweeps_blindly:
        world = world._replace(rows=world.rows & {step.version})
    if not protocol.records:
        yield _with(world._replace(reported=world.reported | {step.version}), number, _finish(step, True))
        return
    current = step.head == str(len(world.ledger))
    # Equal bytes on an equal parent are the same commit: Git says that all is up to date.
    same = len(world.ledger) == int(step.head) + 1 and world.ledger[-1] == claim
    after = world._replace(ledger=(*world.ledger, claim)) if current else world
    if protocol.believes:
        yield from _believing(world, after, number, writer, step, ok=current or same)
        return
    yield _told(after, number, writer, Written(), protocol)
    if world.losses[number]:
        lost = _less(world.losses, number)
        yield _told(after._replace(losses=lost), number, writer, Written(), protocol)
        yield _told(world._replace(losses=lost), number, writer, Written(), protocol)


def _believing(
    world: World, after: World, number: int, writer: Writer, step: WriteRecord, *, ok: bool
) -> Iterator[World]:
    """The mutant: what was answered is what happened."""
    if ok:
        done = after._replace(reported=after.reported | {step.version}, created_by=(*after.created_by, number))
        yield _with(done, number, _finish(step, True))
    outcomes = [after, world] if world.losses[number] else [] if ok else [world]
    for outcome in outcomes:
        again = Seen(head=str(len(outcome.ledger)), claim=None)
        retrying = writer.__class__(
            nonce=writer.nonce,
            creates=writer.creates,
            writes=writer.writes - 1,
            seen=again,
            found=Found(row=step.version),
        )
        losses = _less(world.losses, number) if world.losses[number] else world.losses
        yield _with(outcome._replace(losses=losses), number, retrying)


def _finish(step: WriteRecord, created: bool) -> Finish:
    return Finish(version=step.version, created=created)


def _told(world: World, number: int, writer: Writer, answer: Answer, protocol: Protocol) -> World:
    return _with(world, number, protocol.learn(writer, answer))


def _with(world: World, number: int, writer: Writer | Finish | GiveUp) -> World:
    return world._replace(writers=(*world.writers[:number], writer, *world.writers[number + 1 :]))


def _less(counts: tuple[int, ...], number: int) -> tuple[int, ...]:
    return (*counts[:number], counts[number] - 1, *counts[number + 1 :])


SIZES = [(2, 1, 1), (3, 0, 1), (2, 2, 1), (3, 1, 1)] if LONG else [(2, 1, 1), (3, 0, 0)]


@pytest.mark.parametrize(("writers", "losses", "kills"), SIZES)
@pytest.mark.timeout(1800)
def test_at_most_one_version_is_ever_recorded_and_reported(writers: int, losses: int, kills: int) -> None:
    """Whatever is lost, late or killed, all writers that finish report the version of the one record."""
    worlds, wrong = explore(writers, losses, kills)
    print(f"{writers} writers x {losses} lost answers x {kills} kills: {worlds:,} worlds")

    assert wrong is None


MUTANTS = {
    "nonce removed": Protocol(nonce=lambda writer, life: ""),
    "record removed": Protocol(records=False),
    "return code trusted": Protocol(believes=True),
    "swept without a record": Protocol(sweeps_blindly=True),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_protocol_with_a_part_removed_is_found_out(mutant: str) -> None:
    """The same search finds the bug when the nonce, the record, the read-back or the sweeper's rule is missing."""
    worlds, wrong = explore(2, 1, 1, MUTANTS[mutant])
    print(f"{mutant}: {wrong} (after {worlds:,} worlds)")

    assert wrong is not None


def test_a_single_writer_creates_then_adopts() -> None:
    """Alone, a writer reads, searches, creates, records, reads back, sweeps and reports that it created."""
    steps = []
    writer = Writer(nonce="mine")
    answers: dict[type, list[Answer]] = {
        ReadLedger: [Seen(head="0", claim=None), Seen(head="1", claim=Claim(version=1, nonce="mine"))],
        SearchRows: [Found(row=None)],
        CreateRow: [Created(row=1)],
        WriteRecord: [Written()],
        SweepRows: [Swept()],
    }
    while not isinstance(step := next_step(writer), Finish):
        steps.append(type(step))
        writer = learned(writer, answers[type(step)].pop(0))

    assert steps == [ReadLedger, SearchRows, CreateRow, WriteRecord, ReadLedger, SweepRows]
    assert step == Finish(version=1, created=True)


def test_equal_bytes_under_another_recipe_are_adopted() -> None:
    """A version with the same bytes is named by the record; no row is created for it."""
    writer = learned(Writer(nonce="mine"), Seen(head="4", claim=None, twin=2))

    assert next_step(writer) == WriteRecord(head="4", version=2, adopts=True)
