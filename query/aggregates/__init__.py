"""The aggregates of OPC 10000-13: functions from the facts of intervals to values and statuses."""
