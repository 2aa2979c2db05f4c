"""The sensor of the simulated BMC: one full sensor data record for a reading in watts (IPMI 2.0, table 43-1)."""

import struct

SDR_VERSION = 0x51
FULL_RECORD = 0x01
RECORD_ID = 1
BMC_ADDRESS = 0x20
SENSOR_NUMBER = 1
SENSOR_NAME = b"System Power"
SYSTEM_BOARD = 7
OTHER_UNITS_SENSOR = 0x0B
THRESHOLD_READING = 0x01
WATTS = 6
HIGHEST_RAW = 0xFF
PLAIN_TEXT = 0xC0
READING_AVAILABLE = 0xC0


def watts_per_count(highest_w: float) -> int:
    """The least whole number of watts per count with which one byte reaches `highest_w`."""
    return max(1, -int(-highest_w // HIGHEST_RAW))


def full_record(watts_step: int) -> bytes:
    """The record of a sensor whose watts are its raw byte x `watts_step` (1 to 511)."""
    body = bytes(
        [
            *(BMC_ADDRESS, 0, SENSOR_NUMBER),  # owner, LUN, number
            *(SYSTEM_BOARD, 1),  # entity and instance
            *(0x01, 0x40),  # scanning enabled; re-arms itself, no thresholds, no hysteresis
            *(OTHER_UNITS_SENSOR, THRESHOLD_READING),
            *(0, 0, 0, 0, 0, 0),  # no events, no readable thresholds
            *(0, WATTS, 0),  # unsigned; base unit, modifier unit
            *(0, watts_step & 0xFF, watts_step >> 8 << 6, 0, 0, 0, 0),  # linear; M, B, accuracy, exponents
            *(0, 0, 0, 0),  # no nominal reading, normal maximum, normal minimum
            *(HIGHEST_RAW, 0),  # sensor maximum, minimum
            *(0, 0, 0, 0, 0, 0, 0, 0),  # thresholds, hysteresis
            *(0, 0, 0),  # reserved, OEM
            PLAIN_TEXT | len(SENSOR_NAME),
        ]
    )
    body += SENSOR_NAME
    return struct.pack("<HBBB", RECORD_ID, SDR_VERSION, FULL_RECORD, len(body)) + body


def sensor_reading(watts: int, watts_step: int) -> bytes:
    """The data of a Get Sensor Reading answer: raw byte, scanning enabled, no threshold crossed."""
    return bytes([min(HIGHEST_RAW, round(watts / watts_step)), READING_AVAILABLE, 0])
