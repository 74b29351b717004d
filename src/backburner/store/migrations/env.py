"""Runs migrations on the connection that `backburner.store.schema` hands over."""

from alembic import context

from backburner.store.indexes import SCHEMA
from backburner.store.tables import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SCHEMA,
    version_table=VERSION_TABLE,
    transactional_ddl=False,
)
context.run_migrations()
