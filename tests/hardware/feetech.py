"""Servos that answer Feetech's protocol on a pseudo-terminal, as an SO-101 would on its port."""

from __future__ import annotations

import os
import pty
import sys
import threading
import time
import tty

COUNTS_PER_S = 3000.0  # how fast a servo turns to its goal
GOAL, TORQUE, FEEDBACK, STATUS, OFFSET = 42, 40, 56, 65, 31


class Servo:
    """Registers, and a position that goes to its goal while there is torque."""

    def __init__(self, *, at: int, offset: int) -> None:
        self.registers = bytearray(80)
        self.at, self._moved_s = float(at), time.monotonic()
        self.registers[GOAL : GOAL + 2] = (4000).to_bytes(2, "little")  # of another day
        self.registers[OFFSET : OFFSET + 2] = (abs(offset) | (offset < 0) << 11).to_bytes(
            2, "little"
        )

    @property
    def goal(self) -> int:
        return int.from_bytes(self.registers[GOAL : GOAL + 2], "little")

    def write(self, address: int, data: bytes) -> None:
        self.move()
        self.registers[address : address + len(data)] = data

    def read(self, address: int, count: int) -> bytes:
        self.move()
        self.registers[FEEDBACK : FEEDBACK + 2] = round(self.at).to_bytes(2, "little")
        return bytes(self.registers[address : address + count])

    def move(self) -> None:
        now_s = time.monotonic()
        most, self._moved_s = COUNTS_PER_S * (now_s - self._moved_s), now_s
        if self.registers[TORQUE]:
            self.at += min(max(self.goal - self.at, -most), most)


class FakeServos:
    """A thread that answers on the other end of `port`; `lose` packets, or `garble` them."""

    def __init__(self, servos: dict[int, Servo]) -> None:
        self.servos, self.lose, self.garble = servos, 0, 0
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self._ended = False
        # The library polls without a pause: the other thread is to answer within its 34 ms.
        self._switch_s = sys.getswitchinterval()
        sys.setswitchinterval(1e-4)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        sys.setswitchinterval(self._switch_s)
        self._ended = True
        os.write(self._slave, b"\0")  # wakes the thread
        self._thread.join(5.0)
        os.close(self._master)
        os.close(self._slave)

    def _serve(self) -> None:
        unread = b""
        while not self._ended:
            unread += os.read(self._master, 256)
            while (packet := _packet(unread)) is not None:
                unread = unread[unread.index(packet) + len(packet) :]
                self._answer(packet[2], packet[4], packet[5:-1])

    def _answer(self, id_: int, instruction: int, rest: bytes) -> None:
        match instruction:
            case 2:
                self._reply(id_, self._data(id_, rest[0], rest[1]))
            case 3:
                if id_ in self.servos:
                    self.servos[id_].write(rest[0], rest[1:])
                    self._reply(id_, b"")
            case 0x82:
                for one in rest[2:]:
                    self._reply(one, self._data(one, rest[0], rest[1]))
            case 0x83:
                size = rest[1] + 1
                for k in range(2, len(rest), size):
                    self.servos[rest[k]].write(rest[0], rest[k + 1 : k + size])

    def _data(self, id_: int, address: int, count: int) -> bytes | None:
        return self.servos[id_].read(address, count) if id_ in self.servos else None

    def _reply(self, id_: int, data: bytes | None) -> None:
        if data is None:
            return
        if self.lose:
            self.lose -= 1
            return
        body = bytes([id_, len(data) + 2, 0]) + data
        check = ~sum(body) & 0xFF
        if self.garble:
            self.garble, check = self.garble - 1, check ^ 0x55
        os.write(self._master, b"\xff\xff" + body + bytes([check]))


def _packet(unread: bytes) -> bytes | None:
    """Return the first whole packet."""
    start = unread.find(b"\xff\xff")
    if start < 0 or len(unread) < start + 4:
        return None
    end = start + 4 + unread[start + 3]
    return unread[start:end] if len(unread) >= end else None
