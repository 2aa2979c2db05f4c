"""The simulated BMC's own process: `python -m wattsweep.simulation.bmc`, started by `SimulatedBmc`.

Fed {"idle_w", "slope_w", "refresh_s", "port", "username", "password", "dcmi"} as one JSON line, it serves IPMI 2.0
(RMCP+ with authentication) on 127.0.0.1 only and says {"port": n}. It answers Get Device ID, DCMI Get Power Reading
(unless `dcmi` is false) and one sensor in watts. The protocol is that of pyghmi's server class; what differs here:
it refuses a SHA-256 proposal, since it speaks SHA-1 whatever it is asked and the client would trust the answer; it
refuses unknown users, which the class leaves without answer; its Device ID has the length that the standard says.
"""

import struct
import sys
import threading
import traceback
from typing import Any

from pyghmi.ipmi.bmc import Bmc
from pyghmi.ipmi.private import constants
from pyghmi.ipmi.private import session as ipmi_session
from pyghmi.ipmi.private.serversession import ServerSession

from wattsweep.errors import PowerError
from wattsweep.power.child import Lifeline
from wattsweep.simulation import sdr
from wattsweep.simulation.meter import Meter

LOOPBACK = "127.0.0.1"
EVENT_LOOP_STEP_S = 0.05

HMAC_SHA1 = 1
INVALID_AUTHENTICATION_ALGORITHM = 0x04
UNAUTHORIZED_NAME = 0x0D
INVALID_COMMAND, PARAMETER_OUT_OF_RANGE = 0xC1, 0xC9

GET_DEVICE_ID = (0x06, 0x01)
DCMI_POWER_READING = (0x2C, 0x02)
GET_SENSOR_READING = (0x04, 0x2D)
GET_SDR_REPOSITORY_INFO, RESERVE_SDR_REPOSITORY, GET_SDR = (0x0A, 0x20), (0x0A, 0x22), (0x0A, 0x23)

DCMI_GROUP, SYSTEM_POWER_STATISTICS, MEASUREMENT_ACTIVE = 0xDC, 0x01, 0x40
SDR_AND_SENSOR_SUPPORT = 0x03
IPMI_2_0 = 0x02
LAST_RECORD = 0xFFFF


class SimulatedSession(ServerSession):
    """A session that refuses what it cannot do, where pyghmi's would answer wrongly or not at all."""

    def create_open_session_response(self, request: bytes) -> bytearray:
        """The answer to an RMCP+ Open Session Request (IPMI 2.0, section 13.18)."""
        if request[12] != HMAC_SHA1:
            self.clientsessionid = request[4:8]
            return bytearray([request[0], INVALID_AUTHENTICATION_ALGORITHM, 0, 0]) + self.clientsessionid
        return ServerSession.create_open_session_response(self, request)  # type: ignore[no-any-return]

    def _got_rakp1(self, data: bytearray) -> None:
        if bytes(data[28:]).decode("utf-8", "replace") in self.authdata:
            ServerSession._got_rakp1(self, data)
            return
        refusal = bytearray([data[0], UNAUTHORIZED_NAME, 0, 0]) + self.clientsessionid
        self.send_payload(refusal, constants.payload_types["rakp2"], retry=False)


class SimulatedServer(Bmc):
    """A BMC on loopback that shows what a meter shows."""

    def __init__(self, meter: Meter, highest_w: float, *, users: dict[str, str], port: int, dcmi: bool) -> None:
        # the class takes the event loop's own address from the first socket, and errs on an IPv4 one
        ipmi_session.ipv6support, ipmi_session.myself = False, LOOPBACK
        super().__init__(users, port=port, address=LOOPBACK)
        self.port = self.serversocket.getsockname()[1]  # sessions are filed under the port, so not under 0
        self._meter = meter
        self._watts_step = sdr.watts_per_count(highest_w)
        self._record = sdr.full_record(self._watts_step)
        self._answers = {
            GET_DEVICE_ID: self._device_id,
            GET_SDR_REPOSITORY_INFO: self._repository_info,
            RESERVE_SDR_REPOSITORY: self._reservation,
            GET_SDR: self._sensor_record,
            GET_SENSOR_READING: self._sensor_reading,
        }
        if dcmi:
            self._answers[DCMI_POWER_READING] = self._power_reading

    def sessionless_data(self, data: bytes, sockaddr: Any) -> None:
        """Open a `SimulatedSession` for an RMCP+ Open Session Request; leave all else to the class."""
        if len(data) >= 48 and data[0] == 6 and data[2:4] == b"\xff\x07" and data[4:6] == b"\x06\x10":
            SimulatedSession(
                self.authdata, self.kg, sockaddr, self.serversocket, bytearray(data)[16:], self.uuid, bmc=self
            )
            return
        super().sessionless_data(data, sockaddr)

    def handle_raw_request(self, request: dict[str, Any], session: Any) -> None:
        """Answer one command of a client that has logged in."""
        answer = self._answers.get((request["netfn"], request["command"]))
        code, data = (INVALID_COMMAND, b"") if answer is None else answer(bytes(request["data"]))
        session.send_ipmi_response(code=code, data=data)

    def _device_id(self, _: bytes) -> tuple[int, bytes]:
        return 0, bytes([0, 1, 1, 0, IPMI_2_0, SDR_AND_SENSOR_SUPPORT, 0, 0, 0, 0, 0])

    def _power_reading(self, data: bytes) -> tuple[int, bytes]:
        if data[:2] != bytes([DCMI_GROUP, SYSTEM_POWER_STATISTICS]):
            return INVALID_COMMAND, b""
        shown = self._meter.state
        return 0, struct.pack(
            "<BHHHHIIB",
            DCMI_GROUP,
            shown.current_w,
            shown.minimum_w,
            shown.maximum_w,
            shown.average_w,
            shown.updated_s,
            shown.window_ms,
            MEASUREMENT_ACTIVE,
        )

    def _repository_info(self, _: bytes) -> tuple[int, bytes]:
        return 0, struct.pack("<BHHIIB", sdr.SDR_VERSION, 1, 0, 0, 0, 0x02)

    def _reservation(self, _: bytes) -> tuple[int, bytes]:
        return 0, struct.pack("<H", 1)

    def _sensor_record(self, data: bytes) -> tuple[int, bytes]:
        if len(data) < 6:
            return PARAMETER_OUT_OF_RANGE, b""
        _, record, offset, count = struct.unpack("<HHBB", data[:6])
        if record not in (0, sdr.RECORD_ID) or offset >= len(self._record):
            return PARAMETER_OUT_OF_RANGE, b""
        return 0, struct.pack("<H", LAST_RECORD) + self._record[offset : offset + count]

    def _sensor_reading(self, data: bytes) -> tuple[int, bytes]:
        if data[:1] != bytes([sdr.SENSOR_NUMBER]):
            return PARAMETER_OUT_OF_RANGE, b""
        return 0, sdr.sensor_reading(self._meter.state.current_w, self._watts_step)


def serve(lifeline: Lifeline) -> None:
    """Serve until ordered to stop. Raises PowerError when the port cannot be had."""
    spec = lifeline.spec
    meter = Meter(spec["idle_w"], spec["slope_w"], spec["refresh_s"])
    try:
        server = SimulatedServer(
            meter,
            spec["idle_w"] + spec["slope_w"],
            users={spec["username"]: spec["password"]},
            port=spec["port"],
            dcmi=spec["dcmi"],
        )
    except OSError as error:
        raise PowerError(
            f"The simulated BMC cannot listen on {LOOPBACK}:{spec['port']} ({error.strerror}). Choose another port, or "
            "0 for a free one."
        ) from None
    stopped = threading.Event()
    threading.Thread(target=meter.run, args=(stopped,), name="meter", daemon=True).start()
    lifeline.say(port=server.port)
    while not lifeline.wait(0.0):
        try:
            ipmi_session.Session.wait_for_rsp(EVENT_LOOP_STEP_S)
        except Exception:  # noqa: BLE001 - whatever a malformed packet does to the server class, others are served on
            traceback.print_exc()
    stopped.set()


def main() -> None:
    """Run the simulated BMC's process."""
    lifeline = Lifeline()
    try:
        serve(lifeline)
    except PowerError as error:
        lifeline.say(error=str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
