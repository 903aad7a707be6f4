"""All SQL: one module a table, one verb a function, records out.

``pool`` opens the one asyncpg pool, ``migrate`` applies ``migrations/``. Driver errors become domain
errors here, by constraint name. Nobody holds a connection across a call to AWS or a child process.
"""
