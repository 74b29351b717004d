"""Runs migrations on the connection that `backburner_apps.novel.schema` hands over."""

from alembic import context

from backburner_apps.novel.tables import VERSION_TABLE, Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=False,
)
context.run_migrations()
