"""What alembic executes: runs the migrations on the connection, and in the transaction, that it was handed."""

from alembic import context

from cryptosense.services.database.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()
