from hypothesis import settings

settings.register_profile("tests", database=None, deadline=None)
settings.load_profile("tests")
