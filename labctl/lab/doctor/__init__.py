"""What ails a computer that sticks are plugged into, or a rig of it: findings with their mends."""

from labctl.lab.doctor.row import Row, Verdict, exit_code

__all__ = ["Row", "Verdict", "exit_code"]
