SELECT to_regclass('sheen.migrations') IS NOT NULL
