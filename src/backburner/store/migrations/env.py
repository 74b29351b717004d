"""Runs migrations on the connection that `backburner.store.schema` hands over."""

from alembic import context

from backburner.store.tables import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=False,
)
context.run_migrations()
