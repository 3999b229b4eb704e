"""Process tags of each kind of machine: ten that every station has, twenty of its own.

A number follows its target with a time constant: ``idle`` while the station waits, ``work`` while
it works. A ``cycle`` tag is a curve over the cycle instead (zero at its ends), and its peak
differs from unit to unit.
"""

from dataclasses import dataclass

from storage_engine.sample import ValueType


@dataclass(frozen=True, slots=True)
class TagSpec:
    """One process tag.

    Attributes
    ----------
    name, eng_unit : str
    idle, work : float
        Targets.
    tau_s : float
        Time constant towards the target; 0 makes it a cycle tag.
    noise : float
        Standard deviation of a sample.
    """

    name: str
    eng_unit: str
    idle: float
    work: float
    tau_s: float
    noise: float

    @property
    def span(self) -> tuple[float, float]:
        """Engineering range."""
        low, high = min(self.idle, self.work, 0.0), max(self.idle, self.work, 0.0)
        margin = 0.25 * (high - low) + 6 * self.noise
        return round(low - margin, 6), round(high + margin, 6)


COMMON: tuple[tuple[str, ValueType, str, str], ...] = (
    ("state", ValueType.SYMBOL, "", "idle, working or changeover"),
    ("recipe", ValueType.SYMBOL, "", "Recipe in use"),
    ("current_unit", ValueType.SYMBOL, "", "Serial of the unit being worked on"),
    ("cycle_count", ValueType.INT64, "", "Cycles since the start"),
    ("good_count", ValueType.INT64, "", "Good units since the start"),
    ("reject_count", ValueType.INT64, "", "Rejected units since the start"),
    ("cycle_time", ValueType.FLOAT64, "s", "Length of the last cycle"),
    ("power", ValueType.FLOAT64, "W", "Power drawn"),
    ("energy", ValueType.INT64, "Wh", "Energy since the start"),
    ("guard_closed", ValueType.BOOL, "", "Whether the guard is closed"),
)


def _table(text: str) -> tuple[TagSpec, ...]:
    rows = [line.split() for line in text.strip().splitlines()]
    return tuple(TagSpec(r[0], r[1], *(float(cell) for cell in r[2:])) for r in rows)


# name, eng_unit, idle, work, tau_s (0: curve over the cycle), noise
OWN: dict[str, tuple[TagSpec, ...]] = {
    "printer": _table("""
        squeegee_force N 0 62 0 0.4
        squeegee_speed mm/s 0 45 0 0.3
        squeegee_travel mm 0 310 0 0.2
        separation_speed mm/s 0 2.5 0 0.02
        separation_force N 0 18 0 0.3
        table_height mm 0 12.5 0.8 0.01
        stencil_offset_x um 0 6 4 1.5
        stencil_offset_y um 0 -4 4 1.5
        stencil_angle mdeg 0 2 4 0.5
        paste_temperature degC 23 24.5 40 0.05
        paste_roll_diameter mm 14 18 6 0.2
        air_temperature degC 24 24.6 60 0.03
        air_humidity % 46 45 60 0.2
        air_pressure bar 6.1 5.7 1.5 0.02
        vacuum_pressure kPa -2 -55 0.7 0.5
        clamp_force N 0 140 0.5 1
        wiper_supply V 0 24 0.4 0.05
        camera_light % 10 85 0.3 0.5
        motor_current A 0.4 3.6 0 0.06
        motor_temperature degC 31 38 50 0.08
    """),
    "placement": _table("""
        gantry_position_x mm 0 420 0 2
        gantry_position_y mm 0 380 0 2
        head_height mm 40 1.2 0.6 0.05
        placement_force N 0 3.4 0 0.08
        placement_rate 1/min 0 410 2 4
        nozzle_vacuum kPa -3 -82 0.4 0.8
        nozzle_flow l/min 0.2 4.6 0.5 0.05
        nozzle_temperature degC 26 29 40 0.05
        pick_offset_x um 0 9 3 3
        pick_offset_y um 0 -7 3 3
        place_offset_x um 0 5 3 2
        place_offset_y um 0 4 3 2
        feeder_voltage V 24 23.7 0.5 0.03
        feeder_current A 0.3 2.8 0 0.05
        gantry_current A 0.6 5.2 0 0.1
        gantry_temperature degC 33 41 60 0.06
        head_vibration mm/s 0.2 2.6 0.5 0.08
        air_pressure bar 6.2 5.8 1.5 0.02
        camera_exposure ms 2 8.5 0.3 0.05
        conveyor_speed mm/s 0 150 0.6 1
    """),
    "oven": _table("""
        zone1_temperature degC 146 150 15 0.25
        zone2_temperature degC 162 165 15 0.25
        zone3_temperature degC 176 180 15 0.25
        zone4_temperature degC 188 190 15 0.25
        zone5_temperature degC 217 222 12 0.3
        zone6_temperature degC 240 247 12 0.3
        zone7_temperature degC 244 252 12 0.3
        cooling1_temperature degC 70 82 20 0.4
        cooling2_temperature degC 42 51 20 0.4
        board_temperature degC 30 243 0 0.6
        heater1_power kW 1.2 1.9 4 0.02
        heater2_power kW 1.3 2.1 4 0.02
        heater3_power kW 1.8 2.9 4 0.03
        fan_speed rpm 1450 1620 3 4
        fan_current A 2.1 2.5 3 0.03
        oxygen ppm 400 620 10 9
        nitrogen_flow l/min 210 265 5 1.5
        exhaust_flow m3/h 320 334 6 2
        conveyor_speed mm/s 12 14 5 0.02
        chain_tension N 180 196 5 0.8
    """),
    "splitter": _table("""
        spindle_speed rpm 0 38000 0.8 40
        spindle_current A 0.1 2.4 0 0.05
        spindle_temperature degC 27 36 40 0.06
        spindle_vibration mm/s 0.1 1.9 0.4 0.06
        feed_rate mm/s 0 28 0 0.2
        cut_depth mm 0 1.7 0 0.01
        cut_force N 0 21 0 0.5
        blade_wear % 12 13 300 0.05
        table_position_x mm 0 260 0 0.5
        table_position_y mm 0 190 0 0.5
        clamp_force N 0 95 0.5 0.8
        suction_flow m3/h 20 145 1.5 1
        suction_pressure kPa -1 -18 1.5 0.2
        filter_pressure Pa 90 240 5 3
        dust_level mg/m3 0.2 1.1 4 0.04
        board_strain um/m 0 310 0 6
        air_pressure bar 6.1 5.9 1.5 0.02
        gripper_vacuum kPa -2 -61 0.5 0.6
        camera_light % 10 90 0.3 0.5
        cabinet_temperature degC 29 31 90 0.04
    """),
    "tester": _table("""
        contact_force N 0 210 0 1.5
        contact_resistance mOhm 0 38 0.5 0.7
        press_travel mm 0 34 0 0.1
        press_force N 0 480 0 4
        supply_voltage V 0 24 0.3 0.02
        supply_current mA 2 168 0.5 1.2
        rail_3v3 V 0 3.3 0.3 0.003
        rail_5v V 0 5.0 0.3 0.004
        rf_level dBm -90 4 0.5 0.2
        noise_floor dBm -101 -97 2 0.3
        led_brightness mcd 0 240 0.4 2
        housing_gap um 0 85 0 3
        screw_torque Nm 0 0.62 0 0.006
        screw_angle deg 0 1080 0 3
        label_offset um 0 120 2 8
        fixture_temperature degC 25 28 30 0.05
        fixture_humidity % 44 43 60 0.2
        air_pressure bar 6.0 5.8 1.5 0.02
        scanner_level % 5 92 0.3 0.8
        cabinet_temperature degC 30 33 90 0.04
    """),
}
