from hypothesis import HealthCheck, settings

# How long one example takes says nothing here: the first imports the models, machines are shared.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
