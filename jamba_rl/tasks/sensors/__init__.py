"""What of an env can be seen, and how well."""

from jamba_rl.tasks.sensors.env import SensorEnv
from jamba_rl.tasks.sensors.rules import Rules, rules_of
from jamba_rl.tasks.sensors.sensors import Sensors
from jamba_rl.tasks.sensors.vec_env import SensorVecEnv

__all__ = ["Rules", "SensorEnv", "SensorVecEnv", "Sensors", "rules_of"]
